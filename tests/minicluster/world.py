"""For tests of the machines: a running cluster without its HTTP side, short ways to make objects and to wait for them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minicluster.api import Api, Object
from minicluster.images import plain_images
from minicluster.kubelet.agent import Access
from minicluster.machines import Machines
from minicluster.settings import Settings

NAMESPACE = "default"
PATIENCE_SECONDS = 30
QUICK = Settings(job_backoff_seconds=0.05, crash_backoff_seconds=0.05, pull_backoff_seconds=0.05, seconds_factor=0.1)
PRINT_AND_SERVE = """
import http.server, os, signal, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("ANSWER", "").encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler)
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""


class World:
    """Async context manager."""

    def __init__(self, folder: Path, settings: Settings = QUICK) -> None:
        self.api = Api()
        self.folder = folder
        access = Access({"KUBERNETES_SERVICE_HOST": "127.0.0.1"}, "a certificate", lambda *_: "a token")
        self.machines = Machines(self.api, folder, plain_images(), settings, access)

    async def __aenter__(self) -> "World":
        await self.machines.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.machines.__aexit__(*error)

    def create(self, kind: str, name: str, spec: Object | None = None, **more: Any) -> Object:
        body: Object = {"metadata": {"name": name, "namespace": NAMESPACE}, **more}
        return self.api.create(kind, body if spec is None else {**body, "spec": spec})

    def get(self, kind: str, name: str) -> Object:
        return self.api.get(kind, NAMESPACE, name)

    def pods(self) -> list[Object]:
        return self.api.list("Pod", NAMESPACE)

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self.api.list("Event", NAMESPACE) if event["reason"] == reason]

    async def until(self, kind: str, holds: Callable[[Object], Any], name: str = "") -> Object:
        """The first object of the kind, of this name if one is given, for which it holds. Raises TimeoutError."""
        changes = self.api.subscribe(kind)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for change in changes:
                    item = change.object
                    if change.type != "DELETED" and name in ("", item["metadata"]["name"]) and holds(item):
                        return item
        finally:
            changes.close()
        raise RuntimeError("a subscription has no end")

    async def until_gone(self, kind: str, name: str) -> None:
        """Raises TimeoutError."""
        changes = self.api.subscribe(kind)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self.api.find(kind, NAMESPACE, name) is not None:
                    await anext(changes)
        finally:
            changes.close()

    async def log(self, pod: str, container: str | None = None, previous: bool = False) -> str:
        parts = self.machines.kubelet.read_log(self.get("Pod", pod), container, False, previous)
        return b"".join([part async for part in parts]).decode()


def shell(script: str, **more: Any) -> Object:
    """A container that runs a shell script."""
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **more}


def web(**more: Any) -> Object:
    """A container that answers GET with $ANSWER on port 8080, and finishes what is running on SIGTERM."""
    probe = {"httpGet": {"port": "http"}, "periodSeconds": 1}
    serving = {"image": "python:3", "command": ["python", "-c", PRINT_AND_SERVE], "readinessProbe": probe}
    return {"name": "main", "ports": [{"name": "http", "containerPort": 8080}], **serving, **more}


def template(container: Object, restart: str = "Always", **spec: Any) -> Object:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"restartPolicy": restart, "containers": [container], **spec},
    }


def job_spec(script: str, pod: Object | None = None, **more: Any) -> Object:
    return {"template": template(shell(script), "Never", **(pod or {})), **more}


def deployment_spec(container: Object, replicas: int = 2, pod: Object | None = None, **more: Any) -> Object:
    selector = {"matchLabels": {"app": "web"}}
    return {"replicas": replicas, "selector": selector, "template": template(container, **(pod or {})), **more}


def condition(item: Object, kind: str) -> Object:
    """Empty when it has none."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == kind), {})


def has(kind: str, status: str = "True", reason: str | None = None) -> Callable[[Object], bool]:
    def holds(item: Object) -> bool:
        found = condition(item, kind)
        return found.get("status") == status and reason in (None, found.get("reason"))

    return holds


def state(pod: Object, kind: str) -> Object:
    """state.waiting, running or terminated of the first container; empty when it is in another."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    found: Object = (statuses[0].get("state") or {}).get(kind) or {}
    return found
