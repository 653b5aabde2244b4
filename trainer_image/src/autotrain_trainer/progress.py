"""How the run stands, for whoever asks: GET /progress and GET /healthz. One object, written by the run, read by threads."""

import json
import logging
import os
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console

from autotrain_api import names
from autotrain_api.outcome import Progress

log = logging.getLogger(__name__)

TRAINING_SHARE = (5, 90)
"""Per cent at which the first step begins and the last one ends; the rest is data, export and measurement."""
MESSAGE_LENGTH = 256
POLL_SECONDS = 0.02
"""Until a server that is to end notices it."""


class ProgressBoard:
    """Thread-safe. `say` is for words, `begin` and `step` for training."""

    def __init__(self, console: Console | None = None) -> None:
        self._lock = threading.Lock()
        self._current = Progress()
        self._console = console
        self._said = ""
        self._started = 0.0
        self._samples = 0

    @property
    def current(self) -> Progress:
        with self._lock:
            return self._current

    def say(self, message: str, percent: int | None = None) -> None:
        """What is being done, in words."""
        changes: dict[str, Any] = {"message": message[:MESSAGE_LENGTH]}
        if percent is not None:
            changes["percent"] = percent
        self._update(changes)
        topic = message.split(":")[0]
        if self._console is not None and topic != self._said:
            self._said = topic
            self._console.print(message, highlight=False)

    def begin(self, epochs: int, steps: int) -> None:
        """Training begins: `steps` optimiser steps in `epochs` epochs."""
        self._started = time.monotonic()
        self._samples = 0
        self._update({"epochs": epochs, "steps": steps, "epoch": 1, "step": 0, "percent": TRAINING_SHARE[0]})

    def step(self, epoch: int, step: int, samples: int) -> None:
        """One step of `samples` pictures is done; `epoch` counts from 1, `step` over all epochs."""
        self._samples += samples
        seconds = max(time.monotonic() - self._started, 1e-6)
        steps = max(self.current.steps, step, 1)
        first, last = TRAINING_SHARE
        self._update(
            {
                "epoch": epoch,
                "step": step,
                "percent": first + (last - first) * step // steps,
                "samples_per_second": round(self._samples / seconds, 1),
                "remaining_seconds": round(seconds / step * (steps - step)),
                "message": f"training: epoch {epoch} of {self.current.epochs}",
            }
        )

    def epoch_done(self, text: str) -> None:
        """A line for the log at the end of an epoch."""
        if self._console is not None:
            self._console.print(text, highlight=False)

    def stopped(self, message: str) -> None:
        """Training ends before its last epoch: what is done is all there is."""
        now = self.current
        self._update({"epochs": now.epoch, "steps": now.step, "percent": TRAINING_SHARE[1], "remaining_seconds": 0})
        self.say(message)

    def _update(self, changes: dict[str, Any]) -> None:
        with self._lock:
            self._current = self._current.model_copy(update=changes)


def serve(board: ProgressBoard) -> ThreadingHTTPServer | None:
    """Answer on AUTOTRAIN_HOST:AUTOTRAIN_PORT (0.0.0.0:8080) in a thread. Nobody can ask where that fails: None."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = {"/progress": board.current.to_dict(), "/healthz": {"status": "ok"}}
            answer = answers.get(self.path)
            body = json.dumps(answer or {"error": "there is /progress and /healthz"}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Being asked is not news."""

    host = os.environ.get("AUTOTRAIN_HOST", "0.0.0.0")  # noqa: S104 - a pod listens on its own address
    port = os.environ.get("AUTOTRAIN_PORT", str(names.PORT))
    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError) as error:
        log.warning("no /progress on %s:%s: %s", host, port, error)
        return None
    run = partial(server.serve_forever, poll_interval=POLL_SECONDS)
    threading.Thread(target=run, name="progress", daemon=True).start()
    return server
