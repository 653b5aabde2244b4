"""ASGI middleware around everything: request ids, the model that answers, metrics, and one line of log per request."""

import logging
import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autotrain_server.errors import crashed
from autotrain_server.service import Service

log = logging.getLogger("autotrain_server.requests")

ID_HEADER = b"x-request-id"
SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Routes that are asked every few seconds: told at DEBUG."""
HEAD = "HEAD"


class Observing:
    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        method, identity = scope["method"], request_id(scope)
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (ID_HEADER, identity), *self._own()]
            elif method == HEAD and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if method == HEAD:  # what GET would say, without its body
            scope["method"] = "GET"
        try:
            await self.app(scope, receive, observed)
        except Exception as error:
            if not status:
                await crashed(self.service, scope["path"], error)(scope, receive, observed)
            raise  # for the log
        finally:
            self._tell(scope, method, identity, status, time.perf_counter() - begun)

    def _own(self) -> list[tuple[bytes, bytes]]:
        """Which model answers, and that this connection ends where the server does."""
        predictor = self.service.model.predictor
        found = [(b"connection", b"close")] if self.service.draining else []
        if predictor is None:
            return found
        revision, digest = predictor.manifest.revision, predictor.digest
        return [*found, (b"x-model-revision", revision.encode()), (b"x-model-digest", digest.encode())]

    def _tell(self, scope: Scope, method: str, identity: bytes, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self.service.metrics.answered(route, status, seconds)
        level = logging.DEBUG if route in QUIET else logging.INFO
        if log.isEnabledFor(level):
            facts = {"request_id": identity.decode(), "method": method, "path": scope["path"], "status": status}
            log.log(level, "request", extra=facts | {"milliseconds": round(seconds * 1000, 2)})


def request_id(scope: Scope) -> bytes:
    """The client's, if it is a sane one, or a new one."""
    for name, value in scope["headers"]:
        if name == ID_HEADER and SANE_ID.fullmatch(value):
            return bytes(value)
    return uuid.uuid4().hex.encode()
