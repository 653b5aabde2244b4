"""`autotrain-server --bundle DIR`: serve one bundle until SIGTERM. Exit code 65 when it was refused."""

import logging
import signal
import sys

from pydantic_settings import CliApp

from autotrain_api.names import ExitCode, Stage
from autotrain_api.outcome import Failed, dump_outcome
from autotrain_server.logs import configure_logging
from autotrain_server.model import Model
from autotrain_server.reading import BundleError
from autotrain_server.settings import Settings


def main() -> None:
    """Entry point of the console script."""
    settings = CliApp.run(Settings, cli_args=sys.argv[1:])
    configure_logging(settings)
    model = Model(
        settings.bundle,
        settings.bundle_sha256,
        settings.precision,
        settings.cache,
        settings.gpus,
        settings.postprocessing,
        settings.functions,
    )
    model.start()  # it computes while the web framework is imported
    from autotrain_server.app import create_app
    from autotrain_server.listening import listen

    signal.signal(signal.SIGTERM, exit_cleanly)
    try:
        listen(create_app(settings, model), settings)
    finally:
        if model.error is not None:
            report(settings, model.error)
    sys.exit(ExitCode.OK)


def exit_cleanly(*_: object) -> None:
    """Uvicorn drains on SIGTERM and then raises the signal again, for whoever started it."""
    sys.exit(ExitCode.OK)


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
