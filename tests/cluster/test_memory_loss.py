"""The operator loses its memory at its n-th call of the API, for every n of a whole life: the end is the same.

A life is: apply, Ready, an edit of the training part, Ready, deletion. "Before" loses the call, "after" only its answer.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from autotrain_api import names
from autotrain_operator.kube import Call, Kube, Transport
from autotrain_operator.observe import Observer
from autotrain_operator.reconcile import Reconciler
from autotrain_operator.status import difference
from cluster.conftest import client_of
from cluster.instant import InstantCluster
from cluster.world import CHILDREN, SETTINGS, Object, World, playing

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
PATIENCE_SECONDS = 20
PLAIN: Object = {}
MEMORY = playing("memory 16")
"""The first revision needs three attempts."""

DIFFERS = {
    *("uid", "resourceVersion", "managedFields", "clusterIP", "clusterIPs", "volumeName"),
    *("creationTimestamp", "time", "startedAt", "finishedAt", "lastTransitionTime"),
}
KINDS = ("Job", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "PersistentVolumeClaim")


class MemoryLostError(Exception):
    """The process ended."""


class Forgetful:
    """Transport that ends the process at its n-th call, or after it has carried out its n-th write."""

    def __init__(self, inner: Transport, at: int, carried_out: bool, again: bool = False) -> None:
        """`again`: not once, but each time that so many calls were made."""
        self._inner = inner
        self._at = at
        self._carried_out = carried_out
        self._again = again
        self._count = 0
        self.struck = ""

    async def request(self, call: Call) -> bytes:
        self._count += call.method != "GET" or not self._carried_out
        if self._count != self._at or (self.struck and not self._again):
            return await self._inner.request(call)
        self.struck = f"number {self._at}, {call.method} {call.path}"
        self._count = 0
        if self._carried_out:
            await self._inner.request(call)
        raise MemoryLostError(self.struck)


class Lives:
    """One after the other in the same namespace, looked after by an operator that may forget."""

    def __init__(self, cluster: InstantCluster, world: World, session: aiohttp.ClientSession) -> None:
        self.transport = world.transport
        self._cluster = cluster
        self._world = world
        self._session = session

    async def one(self, data: Object, transport: Transport | None = None) -> Object:
        """What is there at the end, before the deletion; after it there is nothing."""
        self._cluster.jobs_made.clear()
        await self._world.apply(data=data, training={"batchSize": 64})
        await self._until_ready(transport or self.transport)
        await self._world.edit(data={"version": "2"}, serving={"replicas": 2})
        await self._until_ready(transport or self.transport)
        end = self._end()
        await self._world.delete()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(self._cluster.api.list(kind, self._world.namespace) for kind in CHILDREN):  # noqa: ASYNC110 - by asking, as on any cluster
                await asyncio.sleep(0.01)
        await self._world.delete("PersistentVolumeClaim", "flowers-models")
        for event in self._cluster.api.list("Event", self._world.namespace):
            self._cluster.api.delete("Event", self._world.namespace, event["metadata"]["name"])
        return end

    def _new(self, transport: Transport) -> Reconciler:
        kube = Kube(transport)
        return Reconciler(kube, Observer(kube, self._session), SETTINGS, lambda: datetime.now(UTC))

    async def _until_ready(self, transport: Transport) -> None:
        reconciler = self._new(transport)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._is_ready():
                try:
                    await reconciler.reconcile((self._world.namespace, "flowers"))
                except MemoryLostError:
                    reconciler = self._new(transport)
                else:
                    await asyncio.sleep(0.002)  # a real operator waits for events

    def _is_ready(self) -> bool:
        obj = self._cluster.api.get(names.KIND, self._world.namespace, "flowers")
        return any(
            (one["type"], one["status"], one["observedGeneration"]) == ("Ready", "True", obj["metadata"]["generation"])
            for one in obj.get("status", {}).get("conditions", [])
        )

    def _end(self) -> Object:
        api, namespace = self._cluster.api, self._world.namespace
        children = {
            f"{kind} {child['metadata']['name']}": told(child) for kind in KINDS for child in api.list(kind, namespace)
        }
        made = sorted(self._cluster.jobs_made)
        return {"made": made, "status": told(api.get(names.KIND, namespace, "flowers")["status"]), **children}


def told(value: Any) -> Any:
    """Without what differs from one life to another: the namespace, uids, times, and what Kubernetes adds."""
    if isinstance(value, list):
        return [told(below) for below in value]
    if not isinstance(value, dict):
        return value
    return {
        key: told(below)
        for key, below in value.items()
        if key not in DIFFERS and not (key == "status" and isinstance(below, dict)) and "controller-uid" not in key
    }


@pytest.fixture
async def lives(tmp_path: Path) -> AsyncIterator[Lives]:
    async with (
        InstantCluster(tmp_path) as cluster,
        await client_of(cluster.kubeconfig) as client,
        aiohttp.ClientSession() as session,
    ):
        world = World(client, "life")
        await world.begin()
        yield Lives(cluster, world, session)


async def every_loss(lives: Lives, data: Object, carried_out: bool) -> int:
    """Lose the memory at the first call, the second ... until a life ends before; the number of such lives."""
    expected = await lives.one(data)
    number, wrong = 0, []
    while True:
        number += 1
        transport = Forgetful(lives.transport, number, carried_out)
        end = await lives.one(data, transport)
        if not transport.struck:
            break
        if change := difference(expected, end):
            wrong.append(f"{transport.struck}: {change}")
    assert not wrong, "\n".join(wrong)
    assert len(expected["made"]) == len(set(expected["made"]))
    return number - 1


async def test_whatever_call_is_lost_the_end_is_the_same(lives: Lives):
    calls = await every_loss(lives, PLAIN, carried_out=False)

    print(f"\n{calls} calls, each lost once", end=" ")
    assert calls > 60


async def test_whatever_answer_is_lost_after_the_write_the_end_is_the_same(lives: Lives):
    """A read whose answer is lost is a read that is lost: only writes count here."""
    writes = await every_loss(lives, PLAIN, carried_out=True)

    print(f"\n{writes} writes, each answer lost once", end=" ")
    assert writes > 15


@pytest.mark.soak
@pytest.mark.parametrize("carried_out", [False, True], ids=["call lost", "answer lost"])
async def test_the_end_is_the_same_for_a_life_of_several_attempts(lives: Lives, carried_out: bool):
    assert len((await lives.one(MEMORY))["made"]) == 4
    assert await every_loss(lives, MEMORY, carried_out) > 20


@pytest.mark.soak
async def test_the_end_is_the_same_when_memory_is_lost_again_and_again(lives: Lives):
    expected = await lives.one(MEMORY)
    random = Random(17)
    for _ in range(50):
        calls = random.randint(15, 40)  # one look takes up to 14; an operator that never ends one gets nowhere
        transport = Forgetful(lives.transport, calls, carried_out=False, again=True)
        assert difference(expected, await lives.one(MEMORY, transport)) == {}
