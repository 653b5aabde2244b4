"""The running operator: workers that take keys from the queue, and the resync that repairs what a watch missed."""

import asyncio
import logging
import time
from datetime import UTC, datetime

import aiohttp
from kubernetes import aio

from autotrain_api import names
from autotrain_operator.kube import ClientTransport, Kube, KubeError, NotFoundError, connect
from autotrain_operator.observe import Observer
from autotrain_operator.reconcile import Reconciler
from autotrain_operator.settings import Settings
from autotrain_operator.workqueue import Key, WorkQueue

log = logging.getLogger(__name__)

SILENT_PERIODS = 3
CRD_POLL_SECONDS = 2


class Service:
    def __init__(self, settings: Settings) -> None:
        self.queue = WorkQueue()
        self._settings = settings
        self._last_life = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._client: aio.client.ApiClient | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def longest_silence(self) -> float:
        return SILENT_PERIODS * self._settings.resync_seconds

    def seconds_since_life(self) -> float:
        """Since a resync or a pass over an object last finished."""
        return time.monotonic() - self._last_life

    async def start(self) -> None:
        """Connect, wait for the CRD, and begin to work."""
        self._client = await connect()
        self._session = aiohttp.ClientSession()
        kube = Kube(ClientTransport(self._client))
        await self._wait_for_crd(kube)
        reconciler = Reconciler(kube, Observer(kube, self._session), self._settings, lambda: datetime.now(UTC))
        loops = [self._resync(kube), *(self._work(reconciler) for _ in range(self._settings.workers))]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._client is not None:
            await self._client.close()

    async def _wait_for_crd(self, kube: Kube) -> None:
        """kopf looks for the watched kinds once, when it starts."""
        while not await self._look_everywhere(kube):  # noqa: ASYNC110 - by asking: nothing tells of a CRD
            await asyncio.sleep(CRD_POLL_SECONDS)

    async def _resync(self, kube: Kube) -> None:
        while True:
            if await self._look_everywhere(kube):
                self._last_life = time.monotonic()
            await asyncio.sleep(self._settings.resync_seconds)

    async def _look_everywhere(self, kube: Kube) -> bool:
        """Queue every object. Whether any namespace could be listed: one that is gone must not stop the others."""
        listed = [await self._look(kube, namespace) for namespace in self._namespaces()]
        return any(listed)

    async def _look(self, kube: Kube, namespace: str | None) -> bool:
        where = f"namespace {namespace}" if namespace else "all namespaces"
        try:
            items = await kube.list_all(names.KIND, namespace)
        except NotFoundError:
            log.warning("the CRD %s.%s is not installed; waiting for it", names.PLURAL, names.GROUP)
        except KubeError as error:
            log.warning("TrainingJobs of %s cannot be listed; trying again: %s", where, error)
        else:
            for item in items:
                self.queue.add((item["metadata"]["namespace"], item["metadata"]["name"]))
            return True
        return False

    def _namespaces(self) -> list[str | None]:
        return [*self._settings.watched] or [None]

    async def _work(self, reconciler: Reconciler) -> None:
        while True:
            key = await self.queue.take()
            try:
                again = await reconciler.reconcile(key)
            except KubeError as error:
                self._report(key, f"{error.reason or error.status}: {error}", self.queue.failed(key))
            except Exception:
                log.exception("error while working on %s/%s", *key)
                self.queue.failed(key)
            else:
                self.queue.done(key, again)
                self._last_life = time.monotonic()

    def _report(self, key: Key, error: str, seconds: float) -> None:
        log.warning("%s/%s: %s; again in %.0f s", *key, error, seconds)
