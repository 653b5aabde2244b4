"""Stands in for Google Cloud Storage: of its XML API, what a client needs to list, read, write and delete objects."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

DATE = "Wed, 25 Nov 2026 12:00:00 GMT"


def tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, objects: dict[str, bytes], *arguments: Any) -> None:
        self.objects = objects
        super().__init__(*arguments)

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        key = unquote(place.path).lstrip("/").partition("/")[2]
        if not key:
            return self.list(parse_qs(place.query).get("prefix", [""])[0])
        if key not in self.objects:
            return self.tell(404, b"")
        content, offset = self.objects[key], int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        if self.headers.get("If-Match", tag(content)) != tag(content):
            return self.tell(412, b"")
        headers = {"ETag": tag(content), "Last-Modified": DATE, "x-goog-generation": "1"}
        if "Range" in self.headers:
            headers["Content-Range"] = f"bytes {offset}-{len(content) - 1}/{len(content)}"
        return self.tell(206 if "Range" in self.headers else 200, content[offset:], headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def list(self, prefix: str) -> None:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size><ETag>{escape(tag(content))}</ETag>"
            "<LastModified>2026-11-25T12:00:00.000Z</LastModified></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        self.tell(200, f"<ListBucketResult>{rows}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())

    def do_PUT(self) -> None:
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        self.objects[key] = self.rfile.read(int(self.headers["Content-Length"]))
        self.tell(200, b"", {"ETag": tag(self.objects[key])})

    def do_DELETE(self) -> None:
        found = self.objects.pop(unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2], None)
        self.tell(404 if found is None else 204, b"")

    def tell(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def environment(url: str) -> dict[str, str]:
    """Leads to it, with an account that needs no token."""
    account = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    return {"GOOGLE_BASE_URL": url, "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


@contextmanager
def google_store(objects: dict[str, bytes]) -> Iterator[dict[str, str]]:
    """The environment of whoever uses a store with these objects; what is written appears in them."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, objects))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield environment(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
