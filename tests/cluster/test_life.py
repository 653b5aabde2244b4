"""From apply to Ready: the children, the status, the events, and how little is written."""

import asyncio
import json

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, playing, said

pytestmark = pytest.mark.cluster


async def test_an_applied_trainingjob_becomes_ready_with_exactly_its_children(world: World, operator: Operator):
    await world.apply(serving={"replicas": 2})
    status = await world.ready()

    attempt = f"flowers-{status.revision}-1"
    assert await world.names_of("Job") == [attempt]
    assert await world.names_of("ConfigMap") == [attempt]
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        assert await world.names_of(kind) == ["flowers"]
    assert await world.names_of("PersistentVolumeClaim") == ["flowers-models"]
    assert status.phase == "Ready"
    assert (status.serving.replicas, status.serving.ready_replicas) == (2, 2)
    assert status.serving.revision == status.revision
    assert status.serving.url == f"http://flowers.{world.namespace}.svc"


async def test_all_conditions_are_there_from_the_first_look(world: World, operator: Operator):
    await world.apply(data=playing("wait"))
    first = await world.condition("ConfigValid")

    assert [one.type for one in first.conditions] == list(names.Condition)
    assert all(one.reason and one.last_transition_time for one in first.conditions)


async def test_the_end_of_a_good_run_is_told_in_every_condition(world: World, operator: Operator):
    await world.apply(gate={"min": 0.9})
    status = await world.ready()

    assert {one.type: (one.status, one.reason) for one in status.conditions} == {
        "ConfigValid": ("True", "Valid"),
        "Trained": ("True", "Trained"),
        "GatePassed": ("True", "GatePassed"),
        "RolledOut": ("True", "RolledOut"),
        "Available": ("True", "Serving"),
        "Ready": ("True", "AsDesired"),
        "Stalled": ("False", "Progressing"),
    }
    assert status.failure is None
    assert status.metrics is not None
    assert (status.metrics.name, status.metrics.best) == ("accuracy", 0.95)


async def test_kubectl_get_shows_phase_progress_metric_and_revision(world: World, operator: Operator):
    await world.apply()
    status = await world.ready()

    row = await world.row()
    assert row["Phase"] == "Ready"
    assert row["Metric"] == 0.95
    assert row["Revision"] == status.revision
    assert row["Ready"] == "True"
    assert {"Progress", "Age", "Backbone", "Reason", "URL"} <= row.keys()


async def test_every_transition_is_told_in_one_event(world: World, operator: Operator):
    await world.apply()
    await world.ready()
    for _ in range(3):
        await operator.look()

    told = await world.events()
    assert len(told) == len(set(told))
    assert {"Trained=True Trained", "RolledOut=True RolledOut", "Ready=True AsDesired"} <= set(told)


async def test_a_look_at_which_nothing_is_new_writes_nothing(world: World, operator: Operator):
    await world.apply(serving={"replicas": 2})
    await world.ready()
    await operator.look()
    before = len(operator.transport.writes)
    for _ in range(5):
        await operator.look()

    assert operator.transport.writes[before:] == []


async def test_an_operator_without_memory_changes_nothing(world: World, operator: Operator):
    await world.apply()
    await world.ready()
    generation = (await world.get("Deployment"))["metadata"]["generation"]
    versions = []
    for _ in range(2):  # the first one becomes the manager of what it created
        await operator.stop()
        await operator.start()
        await operator.look()
        await operator.look()
        kinds = ("Deployment", "Service", "PodDisruptionBudget", names.KIND)
        versions.append([(await world.get(kind))["metadata"]["resourceVersion"] for kind in kinds])

    assert versions[0] == versions[1]
    assert (await world.get("Deployment"))["metadata"]["generation"] == generation
    assert len(await world.every("Job")) == 1


async def test_progress_is_shown_and_written_at_most_every_ten_seconds(world: World, operator: Operator):
    await world.apply(data=playing("wait"))

    async def shown() -> bool:
        return (await world.status()).progress is not None

    await world.until(shown, "progress")
    for _ in range(5):
        await operator.look()

    patches = [json.dumps(call.body) for call in operator.transport.calls if call.method == "PATCH"]
    written = [body for body in patches if '"progress"' in body]
    assert len(written) == 1
    progress = (await world.status()).progress
    assert progress is not None
    assert progress.message == "epoch 1 of 2"


@pytest.mark.minicluster
async def test_the_deployment_follows_the_end_of_training(
    world: World, operator: Operator, record_property: pytest.FixtureRequest
):
    """The figure goes into the report; nothing is asserted about it."""
    changes = world.mini.api.subscribe("Job", "Deployment")
    await world.apply()
    times: dict[str, float] = {}
    async with asyncio.timeout(30):
        async for change in changes:
            item = change.object
            done = any(one["type"] == "Complete" for one in item.get("status", {}).get("conditions") or [])
            if item["kind"] == "Deployment" or done:
                times.setdefault(item["kind"], asyncio.get_running_loop().time())
            if len(times) == 2:
                break
    changes.close()
    record_property("seconds from the Job's completion to the Deployment", times["Deployment"] - times["Job"])
    print(f"\nDeployment {times['Deployment'] - times['Job']:.3f} s after the Job's completion", end=" ")
    status = await world.ready()
    print(f"({len(operator.transport.calls)} calls, {len(operator.transport.writes)} writes, {operator.passes} looks)")
    assert said(status, "Ready")[0] == "True"
