"""A cluster whose pods take no time: real API and controllers, but a kubelet that only writes what a pod comes to.

For tests that live one life hundreds of times. Training ends well at once, serving pods are ready at once; a trainer
that is to play "memory N" (see standins/trainer.py) ends out of memory until at most N pictures go through at once.
"""

import asyncio
import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from autotrain_api import names
from minicluster.api import Api, ApiError, Object
from minicluster.controllers import base
from minicluster.controllers.claims import ClaimController
from minicluster.controllers.deployment import DeploymentController
from minicluster.controllers.job import JobController
from minicluster.controllers.replicaset import ReplicaSetController
from minicluster.http import Server
from minicluster.settings import Settings
from minicluster.store import now


class InstantCluster:
    """Async context manager."""

    def __init__(self, folder: Path) -> None:
        self.api = Api()
        self.server = Server(self.api, tls=False)
        self.kubeconfig = folder / "kubeconfig"
        self.jobs_made: list[str] = []
        """Names of all Jobs that there ever were."""
        settings = Settings()
        self._controllers = [
            JobController(self.api, settings),
            DeploymentController(self.api),
            ReplicaSetController(self.api, settings),
            ClaimController(self.api, folder / "volumes"),
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "InstantCluster":
        await self.server.start()
        self.server.write_kubeconfig(self.kubeconfig)
        work: list[Any] = [self.api.run(), self._run_pods(), self._count_jobs()]
        work += [base.run(self.api, controller) for controller in self._controllers]
        self._tasks = [asyncio.create_task(one) for one in work]
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()

    async def _count_jobs(self) -> None:
        async for change in self.api.subscribe("Job"):
            if change.type == "ADDED":
                self.jobs_made.append(change.object["metadata"]["name"])

    async def _run_pods(self) -> None:
        async for change in self.api.subscribe("Pod", "ConfigMap"):
            item = change.object
            if change.type != "ADDED":
                continue
            pods = [item] if item["kind"] == "Pod" else self.api.list("Pod", item["metadata"]["namespace"])
            for pod in pods:
                if base.phase(pod) == "Pending":
                    self._run_pod(pod)

    def _run_pod(self, pod: Object) -> None:
        metadata = pod["metadata"]
        place = metadata["namespace"], metadata["name"]
        if metadata["labels"][names.LABEL_COMPONENT] == names.COMPONENT_SERVING:
            status = serving()
        else:
            config = self.api.find("ConfigMap", place[0], metadata["labels"]["batch.kubernetes.io/job-name"])
            if config is None:
                return  # the volume cannot be mounted yet
            status = training(config["data"][names.RUN_FILE])
        with contextlib.suppress(ApiError):  # deleted in the meantime
            self.api.patch("Pod", *place, {"status": status}, "status")


def serving() -> Object:
    state = {"name": "server", "ready": True, "state": {"running": {"startedAt": now()}}}
    return {
        "phase": "Running",
        "conditions": base.with_condition([], "Ready", "True"),
        "containerStatuses": [state],
    }


def training(run: str) -> Object:
    """What a training pod with this run.yaml ends with."""
    revision, size = found(run, r"revision: ([\w-]+)"), found(run, r"microBatchSize: (\d+)")
    most = found(run, r"version: memory (\d+)")
    if most and not 0 < int(size or 0) <= int(most):
        code, outcome = 75, failed("OutOfMemory")
    else:
        code, outcome = 0, succeeded(revision)
    times = {"startedAt": now(), "finishedAt": now()}
    state = {"exitCode": code, "reason": "Error" if code else "Completed", "message": json.dumps(outcome), **times}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "trainer", "ready": False, "state": {"terminated": state}}],
    }


def found(run: str, pattern: str) -> str:
    match = re.search(pattern, run)
    return match[1] if match else ""


def succeeded(revision: str) -> Object:
    metric = {"name": "accuracy", "value": 0.95, "samples": 100, "low": 0.93, "high": 0.97}
    digest = hashlib.sha256(revision.encode()).hexdigest()
    return {"result": "Succeeded", "bundleSha256": digest, "metrics": [metric]}


def failed(reason: str) -> Object:
    return {"result": "Failed", "stage": "Training", "reason": reason, "message": f"played {reason}"}
