"""Connections: uvicorn with httptools, bounded in number and in the time and size of a request's headers."""

import asyncio
import json
import math
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from autotrain_server.receiving import CROWDED
from autotrain_server.service import Service
from autotrain_server.settings import Settings

MAX_HEADER_BYTES = 65_536


class Connection(HttpToolsProtocol):
    """Closed when headers do not come in time, or do not end, or when a body goes on long after its answer.

    What does not parse is answered as JSON. A request on one connection too many is marked, for receiving.py to refuse.
    """

    header_seconds = 10.0
    max_connections = 1_024
    _rest: asyncio.TimerHandle | None = None
    _timer: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        self._next_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self.send_400_response(f"the headers are larger than {MAX_HEADER_BYTES} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._next_came()
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._headers_came()
        self.scope["state"][CROWDED] = len(self.connections) > self.max_connections
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:  # uvicorn waits for the rest without end
            self._rest = self.loop.call_later(self.header_seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        body = json.dumps({"error": {"reason": "InvalidRequest", "message": msg}}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[400] + head + body)
        self.transport.close()

    def _wait_for_headers(self) -> None:
        if self._timer is None:
            self._header_bytes = 0
            self._timer = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _headers_came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_came(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None


class Server(uvicorn.Server):
    """Leaves in two steps: first every answer closes its connection, so that clients go elsewhere; then nobody is let in.

    A connection that is closed between two requests can cost its client the next one, which is on its way already.
    """

    def __init__(self, config: uvicorn.Config, service: Service, farewell_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._farewell_seconds = farewell_seconds
        self._leaves_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:  # asked twice
            super().handle_exit(sig, frame)
        self._service.draining = True
        self._leaves_at = time.monotonic() + self._farewell_seconds

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._leaves_at


def listen(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is running is answered first."""
    bounds = {"header_seconds": settings.header_seconds, "max_connections": settings.max_connections}
    protocol: Any = type("Connection", (Connection,), bounds)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    Server(config, app.state.service, settings.farewell_seconds).run()
