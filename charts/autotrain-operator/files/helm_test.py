"""`helm test`: trains a tiny model on pictures of its own, asks it through its Service, and deletes it.

Runs in the trainer's image with the standard library and Pillow. It serves the pictures itself, so nothing is downloaded.
"""

import http.server
import io
import json
import os
import random
import ssl
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image, ImageDraw

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
COLOURS = {"blue": (40, 60, 200), "green": (40, 170, 60), "red": (200, 50, 40)}
EACH = 48
SIZE = 32
POLL_SECONDS = 2
NAME, NAMESPACE = os.environ["NAME"], os.environ["NAMESPACE"]
JOBS = f"/apis/autotrain.dev/v1alpha1/namespaces/{NAMESPACE}/trainingjobs"


def picture(colour: str, chance: random.Random) -> bytes:
    """PNG of a coloured disc somewhere on grey."""
    image = Image.new("RGB", (SIZE, SIZE), (chance.randint(90, 160),) * 3)
    left, top = chance.randint(2, 12), chance.randint(2, 12)
    ImageDraw.Draw(image).ellipse((left, top, left + 16, top + 16), fill=COLOURS[colour])
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def archive(chance: random.Random) -> bytes:
    """A .tgz with a folder of pictures per colour."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for colour in COLOURS:
            for number in range(EACH):
                data = picture(colour, chance)
                entry = tarfile.TarInfo(f"train/{colour}/{number}.png")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def serve(content: bytes) -> str:
    """URL of the archive, for pods of this cluster."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            """Stay silent: the log is a user's to read."""

    address = os.environ["POD_IP"]
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{server.server_port}/shapes.tgz"


def kube(method: str, path: str, body: dict | None = None) -> dict:
    """One call of the Kubernetes API, as this pod's service account."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://{host}:{port}{path}", data, headers, method=method)
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        return json.load(answer)


def training_job(data: str) -> dict:
    spec = {
        "task": "Classification",
        "data": {"uri": data},
        "model": {"backbone": "resnet10t", "pretrained": False, "imageSize": SIZE},
        "training": {"epochs": 4, "batchSize": 16, "learningRate": 0.004},
        "compute": {"gpusPerNode": 0},
        "output": {"storage": {"size": "1Gi"}, "reclaim": "Delete"},
        "gate": {"min": 0.8},
    }
    return {"apiVersion": "autotrain.dev/v1alpha1", "kind": "TrainingJob", "metadata": {"name": NAME}, "spec": spec}


def wait_until_ready(deadline: float) -> dict:
    """The status of the job once it is Ready. Ends the program when it cannot become so."""
    said = ""
    while time.monotonic() < deadline:
        status = kube("GET", f"{JOBS}/{NAME}").get("status", {})
        conditions = {one["type"]: one for one in status.get("conditions", [])}
        words = (
            f"{status.get('phase', 'not seen by an operator yet')} {conditions.get('Trained', {}).get('message', '')}"
        )
        if words != said:
            print(words, flush=True)
            said = words
        if conditions.get("Ready", {}).get("status") == "True":
            return status
        if conditions.get("Stalled", {}).get("status") == "True":
            sys.exit(f"FAILED: {json.dumps(status.get('failure'), indent=1)}")
        time.sleep(POLL_SECONDS)
    sys.exit(f"FAILED: not Ready in time; its status is\n{json.dumps(status, indent=1)}")


def ask(url: str, chance: random.Random) -> None:
    for colour in COLOURS:
        request = urllib.request.Request(f"{url}/validate", picture(colour, chance), {"Content-Type": "image/png"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        print(f"a {colour} disc is {found['prediction']} ({found['confidence']:.2f})")
        if found["prediction"] != colour:
            sys.exit(f"FAILED: {found}")


def main() -> None:
    chance = random.Random(17)
    try:
        kube("DELETE", f"{JOBS}/{NAME}")  # of a run that was killed
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    kube("POST", JOBS, training_job(serve(archive(chance))))
    try:
        status = wait_until_ready(time.monotonic() + float(os.environ["TIMEOUT_SECONDS"]))
        ask(status["serving"]["url"], chance)
    finally:
        kube("DELETE", f"{JOBS}/{NAME}")
    print("ok")


if __name__ == "__main__":
    main()
