"""Stands in for the server: verifies the bundle's digests, answers probes, and on /validate tells what it was given."""

import hashlib
import http.server
import json
import os
import signal
import sys
from pathlib import Path

FOLDER = Path(os.environ["AUTOTRAIN_BUNDLE"])


def problem() -> dict[str, object] | None:
    manifest = FOLDER / "manifest.json"
    if not manifest.exists():
        return {"ready": False, "reason": "BundleIncomplete", "message": "manifest.json: not there"}
    if hashlib.sha256(manifest.read_bytes()).hexdigest() != os.environ["AUTOTRAIN_BUNDLE_SHA256"]:
        return {"ready": False, "reason": "BundleAltered", "message": "manifest.json: another digest"}
    for name, digest in json.loads(manifest.read_text())["files"].items():
        if hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != digest:
            return {"ready": False, "reason": "BundleAltered", "message": f"{name}: another digest"}
    return None


PROBLEM = problem()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bad = PROBLEM if self.path == "/readyz" else None
        self.tell(503 if bad else 200, bad or {"ready": True})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.tell(503 if PROBLEM else 200, {"revision": FOLDER.name, "environment": dict(os.environ)})

    def tell(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer((os.environ.get("AUTOTRAIN_HOST", "0.0.0.0"), 8080), Handler).serve_forever()
