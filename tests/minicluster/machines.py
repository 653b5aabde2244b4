"""Everything that makes stored objects run: controllers, scheduler, kubelet and service proxy, as tasks of one loop."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from minicluster import admission
from minicluster.api import Api
from minicluster.controllers import base
from minicluster.controllers.claims import ClaimController
from minicluster.controllers.deployment import DeploymentController
from minicluster.controllers.endpoints import EndpointController
from minicluster.controllers.job import JobController
from minicluster.controllers.replicaset import ReplicaSetController
from minicluster.controllers.scheduler import Scheduler
from minicluster.images import Images
from minicluster.kubelet.agent import Access, Kubelet
from minicluster.network import claim_networks
from minicluster.proxy import Proxy
from minicluster.settings import Settings

logger = logging.getLogger(__name__)


class Machines:
    """Async context manager; on exit every process of every pod has ended."""

    def __init__(self, api: Api, folder: Path, images: Images, settings: Settings, access: Access) -> None:
        self.networks = claim_networks()
        admission.SERVICE_NETWORK = self.networks.services
        self.kubelet = Kubelet(api, settings, images, folder / "pods", self.networks.pods, access)
        self._controllers: list[base.Controller] = [
            JobController(api, settings),
            DeploymentController(api),
            ReplicaSetController(api, settings),
            ClaimController(api, folder / "volumes"),
            EndpointController(api),
            Scheduler(api),
        ]
        self._api = api
        self._proxy = Proxy(api)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Machines":
        work: list[Coroutine[Any, Any, None]] = [self._api.run(), self.kubelet.run(), self._proxy.run()]
        work += [base.run(self._api, controller) for controller in self._controllers]
        self._tasks = [asyncio.create_task(one) for one in work]
        for task in self._tasks:
            task.add_done_callback(tell_of_a_crash)
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.networks.claim.close()


def tell_of_a_crash(task: "asyncio.Task[None]") -> None:
    """At once, not when the cluster ends: until then it seems to do nothing."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("%s has ended", task.get_coro(), exc_info=error)
