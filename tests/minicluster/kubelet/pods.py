"""One pod on the node, from its volumes to its end: its containers in order, its phase and its conditions."""

import asyncio
from pathlib import Path

from minicluster.api import ApiError, Object
from minicluster.controllers.base import record, with_condition, write_status
from minicluster.kubelet.containers import COMPONENT, Container, Machine
from minicluster.kubelet.volumes import MountError, Volumes
from minicluster.store import now

RETRY_SECONDS = 0.5


class PodWorker:
    def __init__(self, machine: Machine, pod: Object, folder: Path, address: str, host: str, volumes: Volumes) -> None:
        self.pod = pod
        self.address = address
        self.folder = folder
        self.gone = False
        """Whether the API knows the pod no more: nothing is written then."""
        self._machine = machine
        self._volumes = volumes
        self._host = host
        self._initialized = not pod["spec"].get("initContainers")
        self._ending = ""
        self._report_due = False
        self._started = now()
        pod["status"] = {**(pod.get("status") or {}), "podIP": address, "hostIP": host}
        self._first = [self._container(spec) for spec in pod["spec"].get("initContainers") or ()]
        self._main = [self._container(spec) for spec in pod["spec"]["containers"]]
        self._stop: asyncio.Task[None] | None = None
        self._grace = float("inf")
        self.task = asyncio.create_task(self._run())

    def _container(self, spec: Object) -> Container:
        return Container(self._machine, self.pod, spec, self.folder / "containers" / spec["name"], self._changed)

    def container(self, name: str | None) -> Container | None:
        everything = [*self._main, *self._first]
        return next((container for container in everything if name in (None, container.name)), None)

    # --- its life

    async def _run(self) -> None:
        self._report()
        await self._set_up_volumes()
        restart = self.pod["spec"].get("restartPolicy", "Always")
        for container in self._first:
            await container.run(self._volumes.mounts(container.spec), "Never" if restart == "Never" else "OnFailure")
            if container.exit_code != 0:
                break
        else:
            self._initialized = True
            runs = [container.run(self._volumes.mounts(container.spec), restart) for container in self._main]
            await asyncio.gather(*runs)
        self._ending = self._last_phase()
        self._report()

    async def _set_up_volumes(self) -> None:
        while self._stop is None:
            try:
                self._volumes.set_up()
                if not self._machine.isolate:
                    self._volumes.rewrite_texts()
            except MountError as error:
                record(self._machine.api, self.pod, "FailedMount", str(error), COMPONENT, warning=True)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _last_phase(self) -> str:
        codes = [container.exit_code for container in (self._main if self._initialized else self._first)]
        return "Succeeded" if all(code == 0 for code in codes) else "Failed"

    def stop(self, grace: float) -> None:
        """Begin to end it; a second, shorter grace period counts."""
        if grace >= self._grace:
            return
        self._grace = grace
        if self._stop is None:
            self._stop = asyncio.create_task(self._stop_gracefully(grace))
        else:
            asyncio.get_running_loop().call_later(grace, self.kill)

    async def _stop_gracefully(self, grace: float) -> None:
        await asyncio.gather(*(container.stop(grace) for container in [*self._first, *self._main]))
        await self.task
        self._delete()

    def _delete(self) -> None:
        metadata = self.pod["metadata"]
        if not self.gone:
            try:
                place = metadata["namespace"], metadata["name"]
                self._machine.api.delete("Pod", *place, grace_seconds=0, uid=metadata["uid"])
            except ApiError:
                self.gone = True

    def kill(self) -> None:
        for container in [*self._first, *self._main]:
            container.kill()

    # --- what is told

    def _changed(self) -> None:
        """Several changes in one moment are told once."""
        if not self._report_due:
            self._report_due = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        self._report_due = False
        metadata = self.pod["metadata"]
        current = None if self.gone else self._machine.api.find("Pod", metadata["namespace"], metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            self.gone = True
            return
        status: Object = {
            "phase": self._phase(),
            "hostIP": self._host,
            "hostIPs": [{"ip": self._host}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self._started,
            "qosClass": "BestEffort",
            "conditions": self._conditions(current),
            "containerStatuses": [self._status(container) for container in self._main],
        }
        if self._first:
            status["initContainerStatuses"] = [container.status() for container in self._first]
        write_status(self._machine.api, current, status)

    def _status(self, container: Container) -> Object:
        status = container.status()
        if not self._initialized:
            status["state"] = {"waiting": {"reason": "PodInitializing"}}
        return status

    def _phase(self) -> str:
        if self._ending:
            return self._ending
        started = any(container.logs for container in self._main)
        return "Running" if self._initialized and started else "Pending"

    def _conditions(self, current: Object) -> list[Object]:
        unready = [container.name for container in self._main if not container.ready]
        conditions = list(current["status"].get("conditions") or ())
        done = self._ending == "Succeeded"
        reason = "PodCompleted" if done else "ContainersNotReady"
        message = "" if done else f"containers with unready status: [{' '.join(unready)}]"
        told = ("False", reason, message) if unready else ("True", "", "")
        first = [container.name for container in self._first if container.exit_code != 0]
        if self._initialized:
            conditions = with_condition(conditions, "Initialized", "True", "PodCompleted" if done else "")
        else:
            waiting = f"containers with incomplete status: [{' '.join(first)}]"
            conditions = with_condition(conditions, "Initialized", "False", "ContainersNotInitialized", waiting)
        conditions = with_condition(conditions, "Ready", *told)
        return with_condition(conditions, "ContainersReady", *told)
