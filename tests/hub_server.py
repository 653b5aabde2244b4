"""Stands in for the Hugging Face hub: the endpoints that downloading asks for, with repositories as plain data."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, bytes]] = {}
        """Name -> path -> content, at COMMIT."""
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, str] = {}
        """Name -> the token that opens it."""
        self.gated: set[str] = set()
        self.stumbles = 0
        """Downloads that break off in the middle."""
        self.troubles = 0
        """Requests that get 503."""
        self.downloads: list[str] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *arguments: Any) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.hub.troubles:
            self.hub.troubles -= 1
            return self.tell(503, {})
        return self.route(unquote(urlsplit(self.path).path).strip("/").split("/"), body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def route(self, steps: list[str], body: bytes) -> None:
        api = steps[0] == "api"
        kind = steps[1] if api else steps[0] if steps[0] in ("datasets", "models") else "models"
        rest = steps[2:] if api else steps[1:] if steps[0] == kind else steps
        name, rest = "/".join(rest[:2]), rest[2:]
        files = getattr(self.hub, kind, {}).get(name)
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if files is None or self.hub.private.get(name, given) != given:
            return self.tell(401, {"error": "Invalid username or password."}, {"X-Error-Code": "RepoNotFound"})
        if name in self.hub.gated:
            return self.tell(403, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
        return self.answer(name, files, rest, body)

    def answer(self, name: str, files: dict[str, bytes], rest: list[str], body: bytes) -> None:
        word, revision = (rest[0], rest[1]) if rest else ("revision", "main")
        if revision not in ("main", COMMIT, "v1"):
            return self.tell(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
        path = "/".join(rest[2:])
        if word == "revision":
            return self.tell(200, {"id": name, "sha": COMMIT, "siblings": []})
        if word == "paths-info":
            asked = json.loads(body).get("paths") if body.startswith(b"{") else parse_qs(body.decode())["paths"]
            return self.tell(200, [entry for one in asked for entry in entries(files, one)])
        if word == "tree":
            return self.tell(200, [told(one, files[one]) for one in files if below(one, path)])
        if path not in files:
            return self.tell(404, {"error": "no entry"}, {"X-Error-Code": "EntryNotFound"})
        return self.give(path, files[path])

    def give(self, path: str, content: bytes) -> None:
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.downloads.append(path)
        broken = self.hub.stumbles > 0
        self.hub.stumbles -= broken
        self.wfile.write(content[: len(content) // 2] if broken else content)
        self.close_connection = broken

    def tell(self, status: int, answer: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Type": "application/json"}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def below(name: str, path: str) -> bool:
    return not path or name.startswith(f"{path}/")


def told(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": hashlib.sha1(content).hexdigest(),
    }
    if name.endswith((".tar", ".safetensors")):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry


def entries(files: dict[str, bytes], path: str) -> list[dict[str, object]]:
    """What paths-info says of one path."""
    if path in files:
        return [told(path, files[path])]
    if any(below(name, path) for name in files):
        return [{"type": "directory", "path": path, "oid": "0"}]
    return []


@contextmanager
def hub() -> Iterator[Hub]:
    made = Hub()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
