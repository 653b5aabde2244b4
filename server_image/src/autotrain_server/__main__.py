"""`autotrain-server --bundle DIR`: serve one bundle until SIGTERM. Exit code 65 when it was refused."""

import json
import logging
import signal
import sys
import warnings
from typing import Any

from pydantic_settings import CliApp

from autotrain_api.names import ExitCode, Stage
from autotrain_api.outcome import Failed, dump_outcome
from autotrain_server.model import Model
from autotrain_server.reading import BundleError
from autotrain_server.settings import Settings

STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line; fields given as `extra` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in STANDARD_FIELDS}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def main() -> None:
    """Entry point of the console script."""
    settings = CliApp.run(Settings, cli_args=sys.argv[1:])
    configure_logging(settings)
    model = Model(settings.bundle, settings.bundle_sha256)
    model.start()  # it computes while the web framework is imported
    import uvicorn

    from autotrain_server.app import create_app

    signal.signal(signal.SIGTERM, exit_cleanly)
    try:
        uvicorn.run(
            create_app(settings, model),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=settings.drain_seconds,
            server_header=False,
        )
    finally:
        if model.error is not None:
            report(settings, model.error)
    sys.exit(ExitCode.OK)


def exit_cleanly(*_: object) -> None:
    """Uvicorn drains on SIGTERM and then raises the signal again, for whoever started it."""
    sys.exit(ExitCode.OK)


def configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else text)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    warnings.filterwarnings("ignore", module="PIL")  # what is odd about a client's picture is answered, not logged


def report(settings: Settings, error: BundleError) -> None:
    """Leave the reason where the kubelet finds it, for readers who come after the pod."""
    text = dump_outcome(Failed(stage=Stage.ROLLOUT, reason=error.reason, message=error.told()))
    try:
        settings.termination_log.write_text(text, encoding="utf-8")
    except OSError as problem:
        logging.getLogger(__name__).warning("no termination message: %s", problem)
    sys.exit(ExitCode.USER_ERROR)


if __name__ == "__main__":
    main()
