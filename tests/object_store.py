"""An S3 API on this machine: moto's server, in a virtual environment of its own, and a way to it that can be disturbed."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

MOTO = "moto[server]==5.2.5"
FOLDER = Path(__file__).parents[1] / ".cache/stores/moto"
PIECE = 1 << 16


def install(folder: Path = FOLDER) -> Path:
    """moto_server; its many packages do not mix with the project's. Half a minute, once."""
    program = folder / "bin/moto_server"
    if not (folder / ".installed").is_file() or not program.is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MOTO]
        subprocess.run(pip, check=True)
        (folder / ".installed").write_text(MOTO)
    return program


@contextmanager
def moto() -> Iterator["Bucket"]:
    """An S3 API with one bucket, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [install(), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Bucket(port, "lab")
    finally:
        process.kill()
        process.wait()


class Bucket:
    """What tests do in it without asking the project's code."""

    def __init__(self, port: int, name: str) -> None:
        self.port, self.name = port, name
        self.endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while not self._made():
            assert time.monotonic() < deadline, "moto does not answer"
            threading.Event().wait(0.05)
        self.store = S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id="test",
            secret_access_key="test",
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def _made(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/{self.name}")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def raw(self, key: str, content: bytes = b"") -> None:
        """An object with a name that clients refuse to write; `key` as in a URL."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("PUT", f"/{self.name}/{key}", content, {"Content-Type": "application/octet-stream"})
        assert connection.getresponse().status == 200
        connection.close()

    def put(self, key: str, content: bytes) -> None:
        obstore.put(self.store, key, content)

    def put_folder(self, key: str, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{key}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self.store, key).bytes())

    def keys(self, prefix: str = "") -> set[str]:
        return {meta["path"] for chunk in obstore.list(self.store, prefix or None) for meta in chunk}

    def clear(self, prefix: str) -> None:
        obstore.delete(self.store, sorted(self.keys(prefix)))


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SETTINGS = ("AWS_", "GOOGLE_", "HF_")


def environment(endpoint: str, **more: str) -> dict[str, str]:
    """This process's own, with nothing in it that leads to other stores."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
    return clean | ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint} | more


class Way:
    """A proxy in front of a server. `spoil` sees each request and says what is to go wrong with it."""

    def __init__(self, port: int) -> None:
        self.spoil: Callable[[str, str], Any] = lambda _method, _path: None
        """(method, path) -> None, an HTTP status, or the number of bytes of the answer after which the line is cut;
        a negative number holds the line instead."""
        self.replaced: dict[str, str] = {}
        """Headers of answers to GET that become others, by name in small letters."""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.held = threading.Event()
        """Set when a line is held."""
        self.free = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self, port))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def hold(self) -> None:
        self.held.set()
        self.free.wait(60)

    def asked(self, method: str, key: str) -> list[dict[str, str]]:
        """Headers of the requests about a key."""
        return [headers for verb, path, headers in self.seen if verb == method and path.split("?")[0].endswith(key)]

    def close(self) -> None:
        self.free.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, way: Way, port: int, *arguments: Any) -> None:
        self.way, self.port = way, port
        super().__init__(*arguments)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.way.seen.append((self.command, self.path, dict(self.headers)))
        wanted = self.way.spoil(self.command, self.path)
        if wanted is not None and 300 <= wanted < 600:
            self.send_response(wanted)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if wanted is not None and body and wanted < 0:
            self.way.hold()
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request(self.command, self.path, body, dict(self.headers))
        self.tell(connection.getresponse(), wanted)
        connection.close()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def tell(self, answer: http.client.HTTPResponse, limit: int | None) -> None:
        content, replaced = answer.read(), self.way.replaced if self.command == "GET" else {}
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(key, replaced.get(key.lower(), value))
        head = self.command == "HEAD"
        size = answer.getheader("Content-Length") if head else len(content)
        self.send_header("Content-Length", str(size or 0))
        self.end_headers()
        if head:
            return
        if limit is None or abs(limit) >= len(content):
            self.wfile.write(content)
            return
        self.wfile.write(content[: abs(limit)])
        self.wfile.flush()
        if limit < 0:
            self.way.hold()
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def way_to(port: int) -> Iterator[Way]:
    way = Way(port)
    try:
        yield way
    finally:
        way.close()


def python(code: str, *arguments: object, env: dict[str, str]) -> subprocess.Popen[str]:
    """A process of its own, which a test may kill."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
