"""From apply to Ready: the children, the status, the events, and how little it writes."""

import asyncio

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, said

pytestmark = pytest.mark.cluster


async def test_an_applied_trainingjob_becomes_ready_with_exactly_its_children(world: World, operator: Operator):
    await world.apply(serving={"replicas": 2})
    status = await world.ready()

    revision = status.revision
    assert await world.names_of("Job") == [f"flowers-{revision}-1"]
    assert await world.names_of("ConfigMap") == [f"flowers-{revision}-1"]
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert await world.names_of(kind) == ["flowers"]
    assert await world.names_of("PersistentVolumeClaim") == ["flowers-models"]
    assert status.phase == "Ready"
    print(len(operator.transport.calls), len(operator.transport.writes), operator.passes, operator.errors)
