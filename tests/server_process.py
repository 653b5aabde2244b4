"""The server as a process of its own, as a pod runs it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


class Server:
    def __init__(self, folder: Path, environment: dict[str, str], place: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = folder.parent / "termination-log"
        self.writable = folder.parent / "writable"
        """Its working folder, and where temporary files would go."""
        self.writable.mkdir(exist_ok=True)
        own = {"AUTOTRAIN_HOST": "127.0.0.1", "AUTOTRAIN_PORT": str(self.port), "AUTOTRAIN_BUNDLE": place}
        own |= {"AUTOTRAIN_TERMINATION_LOG": str(self.log), "TMPDIR": str(self.writable)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autotrain_server"],
            env=os.environ | environment | own,
            cwd=self.writable,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.log_text = ""
        self.news = threading.Condition()
        threading.Thread(target=self.read_log, daemon=True).start()

    def read_log(self) -> None:
        for line in self.process.stderr or ():
            with self.news:
                self.log_text += line
                self.news.notify_all()

    def wait_for(self, words: str) -> None:
        """Wait until the log says `words`."""
        with self.news:
            assert self.news.wait_for(lambda: words in self.log_text, timeout=20), self.log_text

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def server(folder: Path, environment: dict[str, str], place: str = "") -> Iterator[Server]:
    """Until the block ends; it listens, and may still be loading. `place`: where the bundle is, when not in `folder`."""
    running = Server(folder, environment, place or str(folder))
    try:
        running.wait_for("Uvicorn running")
        yield running
    finally:
        running.client.close()
        running.process.kill()
        running.process.wait()
