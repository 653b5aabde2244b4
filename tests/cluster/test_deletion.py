"""Deleting a TrainingJob, whatever it is doing and whether or not the operator is there, leaves nothing that runs."""

from typing import Any

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, playing

pytestmark = pytest.mark.cluster

PHASES: list[Any] = [
    pytest.param(
        {"compute": {"image": "nowhere.invalid/none:1"}}, ("Trained", "False", "ImagePullFailed"), id="Pending"
    ),
    pytest.param({"data": playing("wait")}, ("Trained", "False", "Training"), id="Training"),
    pytest.param({"data": playing("code 1 9")}, ("Trained", "False", "Retrying"), id="Retrying"),
    pytest.param({"serving": {"image": "nowhere.invalid/none:1"}}, ("RolledOut", "False", ""), id="RollingOut"),
    pytest.param({}, ("Ready", "True", ""), id="Ready"),
    pytest.param({"serving": {"enabled": False}}, ("Ready", "True", ""), id="Trained"),
    pytest.param({"data": playing("fail DataEmpty")}, ("Stalled", "True", "DataEmpty"), id="Failed"),
    pytest.param({"model": {"backbone": "resnet81"}}, ("ConfigValid", "False", ""), id="Invalid"),
]


@pytest.mark.parametrize("operator_is", ["up", "down"])
@pytest.mark.parametrize(("spec", "until"), PHASES)
async def test_deleting_leaves_nothing_but_the_models(
    world: World, operator: Operator, spec: dict[str, Any], until: tuple[str, str, str], operator_is: str
):
    await world.apply(**spec)
    await world.condition(*until)
    claims = await world.names_of("PersistentVolumeClaim")
    if operator_is == "down":
        await operator.stop()
    await world.delete()
    await world.gone()

    assert await world.names_of("PersistentVolumeClaim") == claims
    assert await world.kube.list_all(names.KIND, world.namespace) == []
    await operator.start()
    await operator.look()
    assert await world.children() == []


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
