"""START HERE to see the operator run: settings from the environment, logging, kopf with this package's handlers."""

import json
import logging
import sys
from datetime import UTC, datetime

import kopf
from pydantic import ValidationError

from autotrain_operator.settings import Settings


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else text)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for chatty in ("kopf.activities", "kopf.objects", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def main() -> None:
    """Entry point of the console script. Exits with 2 when a setting is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "AUTOTRAIN_" + "_".join(str(step) for step in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']} (found {problem['input']!r})\n")
        raise SystemExit(2) from error
    configure_logging(settings)
    from autotrain_operator import handlers  # noqa: F401 - importing registers them with kopf
    from autotrain_operator.service import Service

    watched = settings.watched
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    kopf.run(
        clusterwide=not watched,
        namespaces=watched,
        standalone=True,
        liveness_endpoint=f"http://{host}:{settings.port}/healthz",
        memo=kopf.Memo(service=Service(settings)),
    )


if __name__ == "__main__":
    main()
