"""The operator in this process: its real reconciler and queue over a transport that counts; time can be put forward."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp

from autotrain_api import names
from autotrain_operator.kube import Call, Kube, KubeError, Transport, path_of
from autotrain_operator.observe import Observer
from autotrain_operator.reconcile import Reconciler
from autotrain_operator.settings import Settings
from autotrain_operator.workqueue import WorkQueue
from cluster.world import Object, World

WATCHED = (names.KIND, "Job", "Deployment", "Service", "PodDisruptionBudget", "ConfigMap")
LONGEST_WAIT_SECONDS = 0.2
"""A look is taken at least this often where the operator asks for a later one: tests have no time."""


class Recorder:
    """Transport that keeps every call."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.calls: list[Call] = []

    async def request(self, call: Call) -> bytes:
        self.calls.append(call)
        return await self._inner.request(call)

    @property
    def writes(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls if call.method != "GET"]


class Operator:
    """Async context manager. Stopped and started again, it has lost its memory."""

    def __init__(self, world: World, settings: Settings | None = None) -> None:
        self.transport = Recorder(world.transport)
        self.passes = 0
        """How many looks are over."""
        self._begun = 0
        self.errors: list[str] = []
        self._world = world
        self._settings = settings or world.settings
        self._ahead = timedelta()
        self._tasks: list[asyncio.Task[None]] = []
        self._queue = WorkQueue()

    def put_forward(self, seconds: float) -> None:
        """The operator's clock."""
        self._ahead += timedelta(seconds=seconds)

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def __aenter__(self) -> "Operator":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._queue = WorkQueue()
        watches = [self._watch(kind) for kind in WATCHED]
        self._tasks = [asyncio.create_task(one) for one in (self._work(), *watches)]

    async def stop(self) -> None:
        """At once, whatever it is doing. Raises what ended it before."""
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def look(self, name: str = "flowers") -> None:
        """Take one more look, begun after this call, and wait until it is over."""
        number = self._begun + 1
        self._queue.add((self._world.namespace, name))
        async with asyncio.timeout(10):
            while self.passes < number:  # noqa: ASYNC110 - by asking, as on any cluster
                await asyncio.sleep(0.01)

    async def _work(self) -> None:
        kube = Kube(self.transport)
        async with aiohttp.ClientSession() as session:
            reconciler = Reconciler(kube, Observer(kube, session), self._settings, self._now)
            while True:
                key = await self._queue.take()
                self._begun += 1
                try:
                    again = await reconciler.reconcile(key)
                except KubeError as error:
                    self.errors.append(str(error))
                    self._queue.failed(key)
                else:
                    self._queue.done(key, None if again is None else min(again, LONGEST_WAIT_SECONDS))
                self.passes = self._begun

    async def _watch(self, kind: str) -> None:
        while True:
            with contextlib.suppress(KubeError, aiohttp.ClientError, OSError, ValueError):
                async for item in events(self._world, kind):
                    name = item["metadata"]["name"]
                    if kind != names.KIND:
                        name = item["metadata"]["labels"][names.LABEL_JOB]
                    self._queue.add((self._world.namespace, name))
            await asyncio.sleep(0.05)


async def events(world: World, kind: str) -> AsyncIterator[Object]:
    """Objects as they are now, and then each one that changes, until the watch ends."""
    query = [("watch", "true")] + ([("labelSelector", names.LABEL_JOB)] if kind != names.KIND else [])
    method, url, headers, body, _ = await world.client.param_serialize(
        "GET",
        path_of(kind, world.namespace),
        query_params=query,
        header_params={"Accept": "application/json"},
        auth_settings=["BearerToken"],
    )
    answer = await world.client.call_api(method, url, headers, body)
    async for line in answer.response.content if hasattr(answer, "response") else answer.content:
        event = json.loads(line)
        if event["type"] != "ERROR":
            yield event["object"]
