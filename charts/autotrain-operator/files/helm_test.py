"""`helm test`: trains a tiny model on pictures of its own, asks it through its Service, and deletes it.

Runs in the trainer's image with the standard library and Pillow. It serves the pictures itself, so nothing is downloaded.
"""

import functools
import http.client
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
import urllib.request
from pathlib import Path

from PIL import Image, ImageDraw

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
COLOURS = {"blue": (40, 60, 200), "green": (40, 170, 60), "red": (200, 50, 40)}
EACH, SIZE, POLL_SECONDS = 48, 32, 2
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


def serve_pictures(folder: Path, chance: random.Random) -> str:
    """URL of a .tgz with a folder of pictures per colour, for pods of this cluster."""
    with tarfile.open(folder / "discs.tgz", "w:gz") as tar:
        for name in [f"train/{colour}/{number}.png" for colour in COLOURS for number in range(EACH)]:
            data = picture(name.split("/")[1], chance)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    address = os.environ["POD_IP"]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{server.server_port}/discs.tgz"


def kube(method: str, path: str, body: dict | None = None) -> dict:
    """One call of the Kubernetes API, as this pod's service account. Ends the program when it is refused."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    connection = http.client.HTTPSConnection(host, port, timeout=30, context=trust)
    connection.request(method, path, json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status >= 400 and (method, answer.status) != ("DELETE", 404):
        sys.exit(f"FAILED: {method} {path} was answered with {answer.status}: {text}")
    return json.loads(text)


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


def wait_until_ready(deadline: float) -> str:
    """The model's URL once the job is Ready. Ends the program when it cannot become so."""
    words = said = ""
    while time.monotonic() < deadline:
        status = kube("GET", f"{JOBS}/{NAME}").get("status", {})
        found = {one["type"]: one for one in status.get("conditions", [])}
        ready, stalled = found.get("Ready", {}), found.get("Stalled", {})
        words = f"{status.get('phase', 'Unseen')}: {ready.get('message', 'no operator has seen the TrainingJob yet')}"
        if words != said:
            print(words, flush=True)
            said = words
        if ready.get("status") == "True":
            return status["serving"]["url"]
        if stalled.get("status") == "True":
            sys.exit(f"FAILED: {json.dumps(status.get('failure'), indent=1)}")
        time.sleep(POLL_SECONDS)
    sys.exit(f"FAILED: not Ready in time. The last that was seen is {words}")


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
    kube("DELETE", f"{JOBS}/{NAME}")  # of a run that was killed
    kube("POST", JOBS, training_job(serve_pictures(Path("/tmp"), chance)))
    try:
        ask(wait_until_ready(time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])), chance)
    finally:
        kube("DELETE", f"{JOBS}/{NAME}")
    print("ok")


if __name__ == "__main__":
    main()
