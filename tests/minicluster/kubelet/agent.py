"""The kubelet itself: registers the node, follows the pods that are bound to it, reads their logs."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from minicluster.api import Api, ApiError, Change, Object
from minicluster.controllers.base import attempt, finished, phase, with_condition
from minicluster.images import Images
from minicluster.kubelet.containers import Container, Machine
from minicluster.kubelet.pods import PodWorker
from minicluster.kubelet.rooms import isolation_works
from minicluster.kubelet.volumes import TokenMaker, Volumes
from minicluster.settings import Settings
from minicluster.store import now

NODE = "minicluster"
FOLLOW_SECONDS = 0.1


@dataclass(frozen=True)
class Access:
    """How pods reach the API."""

    env: Mapping[str, str]
    ca: str
    make_token: TokenMaker


class Kubelet:
    def __init__(
        self,
        api: Api,
        settings: Settings,
        images: Images,
        folder: Path,
        network: str,
        access: Access,
    ) -> None:
        """`network` is the first half of the pods' addresses, such as 127.1."""
        self._api = api
        self._settings = settings
        self._images = images
        self._folder = folder
        self._network = network
        self._access = access
        self._number = 1
        self._workers: dict[str, PodWorker] = {}
        self._machine: Machine | None = None
        api.log_reader = self.read_log

    async def run(self) -> None:
        """Until cancelled; then no process of a pod is left."""
        isolate = isolation_works() if self._settings.isolate is None else self._settings.isolate
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            self._machine = Machine(self._api, self._settings, self._images, session, isolate, self._access.env)
            self._register()
            changes = self._api.subscribe("Pod")
            try:
                async for change in changes:
                    self._see(change)
            finally:
                changes.close()
                await self._end_all()

    async def _end_all(self) -> None:
        workers = list(self._workers.values())
        for worker in workers:
            worker.gone = True
            worker.stop(0)
            worker.kill()
        await asyncio.gather(*(worker.task for worker in workers), return_exceptions=True)

    def _register(self) -> None:
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        node = {"metadata": {"name": NODE, "labels": labels | self._settings.node_labels}, "spec": {}}
        attempt(lambda: self._api.create("Node", node))
        conditions = with_condition([], "Ready", "True", "KubeletReady", "kubelet is posting ready status")
        status = {
            "capacity": self._settings.node_capacity,
            "allocatable": self._settings.node_capacity,
            "addresses": [{"type": "InternalIP", "address": self._host}, {"type": "Hostname", "address": NODE}],
            "conditions": [{**one, "lastHeartbeatTime": now()} for one in conditions],
            "nodeInfo": node_info(),
        }
        self._api.patch("Node", None, NODE, {"status": status}, "status")

    @property
    def _host(self) -> str:
        return f"{self._network}.0.1"

    def _next_address(self) -> str:
        taken = {worker.address for worker in self._workers.values()}
        while True:
            self._number = self._number % 62_000 + 1
            address = f"{self._network}.{self._number // 250}.{self._number % 250 + 1}"
            if address not in taken and address != self._host:
                return address

    # --- pods

    def _see(self, change: Change) -> None:
        pod = change.object
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change.type == "DELETED":
            if worker:
                worker.gone = True
                worker.stop(0)
                worker.kill()
                self._workers.pop(uid)
                folder = worker.folder
                worker.task.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))
            return
        if pod["spec"].get("nodeName") != NODE:
            return
        if worker is None and not finished(pod):
            if pod["metadata"].get("deletionTimestamp"):
                self._end_unknown(pod)
                return
            worker = self._workers[uid] = self._start(pod)
        if worker and pod["metadata"].get("deletionTimestamp"):
            worker.stop(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))

    def _end_unknown(self, pod: Object) -> None:
        place = pod["metadata"]["namespace"], pod["metadata"]["name"]
        attempt(lambda: self._api.patch("Pod", *place, {"status": {"phase": "Failed"}}, "status"))
        attempt(lambda: self._api.delete("Pod", *place, grace_seconds=0, uid=pod["metadata"]["uid"]))

    def _start(self, pod: Object) -> PodWorker:
        if self._machine is None:
            raise RuntimeError("the kubelet does not run")
        folder = self._folder / pod["metadata"]["uid"]
        volumes = Volumes(self._api, pod, folder / "volumes", self._access.make_token, self._access.ca)
        return PodWorker(self._machine, pod, folder, self._next_address(), self._host, volumes)

    def worker_of(self, pod: Object) -> PodWorker | None:
        return self._workers.get(pod["metadata"]["uid"])

    # --- logs

    def read_log(self, pod: Object, name: str | None, follow: bool, previous: bool = False) -> AsyncIterator[bytes]:
        """Raises ApiError where there is no such log."""
        worker = self.worker_of(pod)
        container = worker.container(name) if worker else None
        if container is None or not container.logs:
            why = (container.state.get("waiting") or {}).get("reason", "ContainerCreating") if container else phase(pod)
            told = f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: {why}'
            raise ApiError(400, "BadRequest", told)
        if previous and len(container.logs) < 2:
            told = f'previous terminated container "{name}" in pod "{pod["metadata"]["name"]}" not found'
            raise ApiError(400, "BadRequest", told)
        path = container.logs[-2 if previous else -1]
        return _parts(path, container, follow and not previous)


async def _parts(path: Path, container: Container, follow: bool) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while True:
            ended = container.writing != path
            while part := file.read(65_536):
                yield part
            if ended or not follow:
                return
            await asyncio.sleep(FOLLOW_SECONDS)


def node_info() -> Object:
    return {
        "kubeletVersion": "v1.36.0-minicluster",
        "kubeProxyVersion": "",
        "containerRuntimeVersion": "minicluster://1",
        "operatingSystem": "linux",
        "architecture": "amd64",
        "osImage": "minicluster",
        "kernelVersion": "",
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
    }
