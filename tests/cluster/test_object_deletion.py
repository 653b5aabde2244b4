"""Deleting a TrainingJob, whatever it is doing and whether or not the operator is there, leaves nothing that runs."""

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import Object, World, playing

pytestmark = pytest.mark.cluster

NOWHERE = {"image": "nowhere.invalid/none:1"}
PHASES: dict[str, tuple[Object, tuple[str, str, str]]] = {
    "pending": ({"compute": NOWHERE}, ("Trained", "False", "ImagePullFailed")),
    "training": ({"data": playing("wait")}, ("Trained", "False", "Training")),
    "retrying": ({"data": playing("code 1 9")}, ("Trained", "False", "Retrying")),
    "rolling-out": ({"serving": NOWHERE}, ("RolledOut", "False", "ImagePullFailed")),
    "ready": ({}, ("Ready", "True", "")),
    "trained": ({"serving": {"enabled": False}}, ("Ready", "True", "")),
    "failed": ({"data": playing("fail DataEmpty")}, ("Stalled", "True", "DataEmpty")),
    "suspended": ({"suspend": True}, ("Trained", "False", "Suspended")),
    "invalid": ({"model": {"backbone": "resnet81"}}, ("ConfigValid", "False", "")),
}
"""Name of the object -> what brings it into its phase, and how that shows."""


@pytest.mark.parametrize("operator_is", ["up", "down"])
async def test_deleting_in_any_phase_leaves_nothing_but_the_models(world: World, operator: Operator, operator_is: str):
    for name, (spec, _) in PHASES.items():
        await world.apply(name, **spec)
    for name, (_, until) in PHASES.items():
        await world.condition(*until, name=name)
    claims = {name: await world.names_of("PersistentVolumeClaim", name) for name in PHASES}
    if operator_is == "down":
        await operator.stop()
    for name in PHASES:
        await world.delete(name=name)
    for name in PHASES:
        await world.gone(name)

    assert {name: await world.names_of("PersistentVolumeClaim", name) for name in PHASES} == claims
    assert await world.kube.list_all(names.KIND, world.namespace) == []
    await operator.stop()
    await operator.start()
    for name in PHASES:
        await operator.look(name)
        assert await world.children(name) == []


async def test_models_that_are_not_to_be_kept_go_as_well(world: World, operator: Operator):
    await world.apply(output={"reclaim": "Delete"})
    await world.ready()
    await world.delete()

    async def gone() -> bool:
        return not await world.names_of("PersistentVolumeClaim")

    await world.until(gone, "end of the claim")


@pytest.mark.minicluster
async def test_an_object_made_again_at_once_never_takes_over_the_old_job(world: World, operator: Operator):
    await world.apply(data=playing("wait"))
    pod = await world.pod_runs()
    (old,) = await world.every("Job")
    await world.delete()
    again = await world.apply(data=playing("wait"))
    await world.pod_runs(other_than=[pod["metadata"]["uid"]])
    (new,) = await world.every("Job")
    world.finish_training()
    status = await world.ready()

    assert new["metadata"]["name"] == old["metadata"]["name"]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["metadata"]["ownerReferences"][0]["uid"] == again["metadata"]["uid"]
    assert [(one.number, one.result) for one in status.attempts] == [(1, "Succeeded")]


async def test_an_object_made_again_at_once_gets_children_of_its_own(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.delete()
    again = await world.apply()
    second = await world.ready()

    owners = {
        kind: [one["metadata"]["ownerReferences"][0]["uid"] for one in await world.every(kind)]
        for kind in ("Job", "Deployment", "Service", "PodDisruptionBudget")
    }
    assert owners == {kind: [again["metadata"]["uid"]] for kind in owners}
    assert second.revision == first.revision


async def test_an_object_made_again_while_the_operator_is_down_gets_children_of_its_own(
    world: World, operator: Operator
):
    await world.apply()
    await world.ready()
    await operator.stop()
    await world.delete()
    again = await world.apply()
    await operator.start()
    await world.ready()

    jobs = await world.every("Job")
    assert [job["metadata"]["ownerReferences"][0]["uid"] for job in jobs] == [again["metadata"]["uid"]]
