"""Looks at one TrainingJob and its children, and decides nothing: API and pods -> Observed."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import ValidationError

from autotrain_api import names
from autotrain_api.outcome import Progress
from autotrain_operator import attempts
from autotrain_operator.kube import Kube, Object
from autotrain_operator.waiting import Waiting

POLL_SECONDS = 2
LOG_LINES = 20


@dataclass
class Observed:
    """Everything that a plan is made from, but the spec and the record."""

    jobs: list[Object] = field(default_factory=list)
    """Training Jobs that belong to this very object."""
    strangers: list[Object] = field(default_factory=list)
    """Children of an earlier object of the same name, which are being collected."""
    pods: dict[str, Object] = field(default_factory=dict)
    """Name of a Job -> its newest pod."""
    config_maps: frozenset[str] = frozenset()
    deployment: Object | None = None
    service: Object | None = None
    budget: Object | None = None
    claim: Object | None = None
    functions: Object | None = None
    """The ConfigMap with the job's own functions."""
    logs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a Job -> last lines of a container that left no result."""
    progress: Progress | None = None
    unready: list[dict[str, Any]] = field(default_factory=list)
    """What serving pods that are not ready say about themselves."""
    serving_pods: list[Object] = field(default_factory=list)
    refusal: Waiting | None = None
    """What the API server refused when this object was last worked on."""
    job_events: dict[str, str] = field(default_factory=dict)
    """Name of a Job without a pod -> why the Job controller cannot create one."""


class Observer:
    """Reads the children by GET and LIST, and asks pods directly where the API cannot know."""

    def __init__(self, kube: Kube, session: aiohttp.ClientSession) -> None:
        self._kube = kube
        self._session = session

    async def observe(self, obj: Object, claim: str, functions: str) -> Observed:
        """`claim` is the name of the models' PVC, `functions` that of a ConfigMap; "" when there is none to look for."""
        namespace, name, uid = (obj["metadata"][key] for key in ("namespace", "name", "uid"))
        labels = {names.LABEL_JOB: name}
        jobs, maps, deployment, service, budget, pvc = await asyncio.gather(
            self._kube.list_all("Job", namespace, labels),
            self._kube.list_all("ConfigMap", namespace, labels),
            self._kube.find("Deployment", namespace, name),
            self._kube.find("Service", namespace, name),
            self._kube.find("PodDisruptionBudget", namespace, name),
            self._claim(namespace, claim),
        )
        own = await self._kube.find("ConfigMap", namespace, functions) if functions else None
        seen = Observed(
            jobs=[job for job in jobs if owner_uid(job) == uid],
            strangers=[job for job in jobs if owner_uid(job) != uid and owner_kind(job) == names.KIND],
            config_maps=frozenset(item["metadata"]["name"] for item in maps),
            deployment=deployment,
            service=service,
            budget=budget,
            claim=pvc,
            functions=own,
        )
        recorded = obj.get("status", {}).get("attempts", [])
        await self._see_training(seen, namespace, name, recorded)
        await self._see_serving(seen, namespace, name)
        return seen

    async def _claim(self, namespace: str, name: str) -> Object | None:
        return await self._kube.find("PersistentVolumeClaim", namespace, name) if name else None

    async def _see_training(self, seen: Observed, namespace: str, name: str, recorded: list[Object]) -> None:
        done = {attempt["job"] for attempt in recorded if attempt["result"] not in ("Running",)}
        open_jobs = [job for job in seen.jobs if job["metadata"]["name"] not in done]
        if not open_jobs:
            return
        labels = {names.LABEL_JOB: name, names.LABEL_COMPONENT: names.COMPONENT_TRAINING}
        pods = sorted(
            await self._kube.list_all("Pod", namespace, labels), key=lambda pod: pod["metadata"]["creationTimestamp"]
        )
        for pod in pods:
            seen.pods[pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "")] = pod
        for job in open_jobs:
            job_name = job["metadata"]["name"]
            pod_of_job = seen.pods.get(job_name)
            if pod_of_job is None and attempts.finished(job) is None:
                seen.job_events[job_name] = await self._why_no_pod(namespace, job)
            elif pod_of_job is not None and attempts.finished(job) == "Failed":
                pod_name = pod_of_job["metadata"]["name"]
                seen.logs[job_name] = tuple(await self._kube.log_tail(namespace, pod_name, "trainer", LOG_LINES))
            elif pod_of_job is not None and pod_of_job["status"].get("phase") == "Running":
                seen.progress = await self._progress(pod_of_job)

    async def _why_no_pod(self, namespace: str, job: Object) -> str:
        """The latest FailedCreate event of a Job: quota and Pod Security show nowhere else."""
        events = await self._kube.events(namespace, job["metadata"]["uid"])
        failed = [event for event in events if event.get("reason") == "FailedCreate"]
        return str(failed[-1].get("message", "")) if failed else ""

    async def _progress(self, pod: Object) -> Progress | None:
        answer = await self._ask(pod, "/progress")
        try:
            return Progress.model_validate(answer[1]) if answer and answer[0] == 200 else None
        except ValidationError:
            return None

    async def _see_serving(self, seen: Observed, namespace: str, name: str) -> None:
        if seen.deployment is None or all_answer(seen.deployment):
            return
        labels = {names.LABEL_JOB: name, names.LABEL_COMPONENT: names.COMPONENT_SERVING}
        seen.serving_pods = await self._kube.list_all("Pod", namespace, labels)
        unready = [pod for pod in seen.serving_pods if not is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        for pod in unready:
            answer = await self._ask(pod, "/readyz")
            if answer and answer[0] == 503:
                seen.unready.append(answer[1])

    async def _ask(self, pod: Object, path: str) -> tuple[int, dict[str, Any]] | None:
        """GET a pod's own endpoint. Everything works without: no answer is no news."""
        address = pod.get("status", {}).get("podIP")
        if not address:
            return None
        host = f"[{address}]" if ":" in address else address
        timeout = aiohttp.ClientTimeout(total=POLL_SECONDS)
        try:
            async with self._session.get(f"http://{host}:{names.PORT}{path}", timeout=timeout) as answer:
                body = json.loads(await answer.content.read(65_536))
                return (answer.status, body) if isinstance(body, dict) else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None


def all_answer(deployment: Object) -> bool:
    """Every wanted pod is new and ready, and there is no other: an old one that is ready would hide a new one that is not."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return all(status.get(count, 0) == wanted for count in ("replicas", "updatedReplicas", "readyReplicas"))


def owner_uid(child: Object) -> str | None:
    """uid of the controlling owner."""
    return next(
        (owner["uid"] for owner in child["metadata"].get("ownerReferences", []) if owner.get("controller")), None
    )


def owner_kind(child: Object) -> str | None:
    """Kind of the controlling owner."""
    owners = child["metadata"].get("ownerReferences", [])
    return next((owner["kind"] for owner in owners if owner.get("controller")), None)


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
