"""Stands in for the trainer: the same config, bundle, /progress, termination message and exit codes, no training.

What it plays is written in spec.data.version, which is part of the recipe:

    ""                   writes a bundle with accuracy 0.95
    "accuracy 0.5"       a bundle with that accuracy
    "real"               a bundle that the real server can answer from
    "spoil model.onnx"   a bundle in which a byte of that file is flipped afterwards; "real-spoil" for the real server
    "fail DataNotFound"  the user's error: exit code 65 and that reason
    "code 75 20"         that exit code while the attempt is at most 20, without a word
    "memory 8"           out of memory unless at most 8 pictures go through at once
    "wait"               trains, with progress, until the file `finish` lies on the models' claim; ends on SIGTERM
"""

import hashlib
import http.server
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

signal.signal(
    signal.SIGTERM, lambda *_: sys.exit(143)
)  # first of all: the first process of a container dies of no other
RUN = Path(sys.argv[-1]).read_text()
LOG = Path(os.environ.get("AUTOTRAIN_TERMINATION_LOG", "/dev/termination-log"))


def field(name: str, default: str = "") -> str:
    found = re.search(rf"^\s*{name}: (.*)$", RUN, re.MULTILINE)
    return found[1].strip("'\"") if found else default


def store_output() -> Any:
    """An output in an object store is the real trainer's own."""
    if field("outputUri").startswith("file://"):
        return None
    from autotrain_trainer.store_output import StoreOutput

    return StoreOutput(field("outputUri"), Path(tempfile.mkdtemp()))


STORE = store_output()
FOLDER = STORE.folder if STORE else Path(field("outputUri").removeprefix("file://"))
ATTEMPT = int(field("attempt", "1"))


def fail(code: int, reason: str, stage: str = "Data") -> None:
    message = {"result": "Failed", "stage": stage, "reason": reason, "message": f"played {reason}", "hint": "Play on."}
    LOG.write_text(json.dumps(message))
    sys.exit(code)


def serve_progress() -> None:
    begun = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            percent = min(99, int(10 * (time.monotonic() - begun)))
            body = json.dumps({"percent": percent, "epoch": 1, "epochs": 2, "message": "epoch 1 of 2"}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((os.environ.get("AUTOTRAIN_HOST", "0.0.0.0"), 8080), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def wait() -> None:
    serve_progress()
    while not (FOLDER.parents[2] / "finish").exists():
        time.sleep(0.02)


def write_bundle(accuracy: float, real: bool) -> None:
    if real:
        from onnx_bundle import write_bundle

        write_bundle(FOLDER, revision=field("revision"))
        return
    FOLDER.mkdir(parents=True)
    model = f"{field('revision')} {time.time()}".encode()
    (FOLDER / "model.onnx").write_bytes(model)
    files = {"model.onnx": hashlib.sha256(model).hexdigest()}
    manifest = {"revision": field("revision"), "accuracy": accuracy, "files": files}
    (FOLDER / "manifest.json").write_text(json.dumps(manifest))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def main() -> None:
    word, *rest = (field("version") or "accuracy 0.95").split()
    if word == "fail":
        fail(65, rest[0])
    if word == "code" and int(rest[1]) >= ATTEMPT:
        print(f"attempt {ATTEMPT} falls over")
        sys.stdout.flush()
        os._exit(int(rest[0]))
    if word == "memory" and not 0 < int(field("microBatchSize", "0")) <= int(rest[0]):
        fail(75, "OutOfMemory", "Training")
    if word == "wait":
        wait()
    real = word in ("real", "real-spoil")
    accuracy = float(rest[0]) if word == "accuracy" else 0.95
    found = (FOLDER / "manifest.json").exists()
    if not found:
        write_bundle(accuracy, real)
        if STORE:
            STORE.publish()
    digest = hashlib.sha256((FOLDER / "manifest.json").read_bytes()).hexdigest()
    if "spoil" in word and not found:
        flip(FOLDER / rest[0])
    metric = {"name": "accuracy", "value": accuracy, "samples": 100, "low": accuracy - 0.02, "high": accuracy + 0.02}
    LOG.write_text(json.dumps({"result": "Succeeded", "bundleSha256": digest, "metrics": [metric], "found": found}))


main()
