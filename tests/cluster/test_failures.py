"""Specs and data that cannot work, gates that refuse: one attempt, clear words, and the old model goes on."""

import pytest

from cluster.operating import Operator
from cluster.world import World, playing, said

pytestmark = pytest.mark.cluster
DAY = 86_400


async def test_an_unknown_backbone_names_the_nearest_and_never_makes_a_job(world: World, operator: Operator):
    await world.apply(model={"backbone": "resnet81"})
    status = await world.condition("ConfigValid", "False", "UnknownBackbone")
    operator.put_forward(DAY)
    await operator.look()

    message = said(status, "ConfigValid")[2]
    assert "spec.model.backbone" in message
    assert "resnet81" in message
    assert "resnet18" in message
    assert status.phase == "Invalid"
    assert said(status, "Stalled")[:2] == ("True", "UnknownBackbone")
    assert await world.children() == []
    assert await world.names_of("PersistentVolumeClaim") == []


async def test_a_corrected_backbone_goes_on(world: World, operator: Operator):
    await world.apply(model={"backbone": "resnet81"})
    await world.condition("ConfigValid", "False")
    await world.edit(model={"backbone": "resnet18"})
    status = await world.ready()

    assert status.failure is None


@pytest.mark.minicluster
async def test_a_backbone_that_becomes_wrong_leaves_what_is_served(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(model={"backbone": "resnet81"})
    status = await world.condition("ConfigValid", "False")

    assert (await world.ask())["revision"] == first.revision
    assert said(status, "Stalled")[0] == "True"
    assert len(await world.every("Job")) == 1


@pytest.mark.parametrize("reason", ["DataNotFound", "DataDamaged", "ModelInvalid"])
async def test_the_users_error_is_tried_once_and_told_in_full(world: World, operator: Operator, reason: str):
    await world.apply(data=playing(f"fail {reason}"))
    status = await world.condition("Stalled")
    operator.put_forward(DAY)
    await operator.look()
    await operator.look()

    attempt = f"flowers-{status.revision}-1"
    assert status.phase == "Failed"
    assert status.failure is not None
    assert (status.failure.reason, status.failure.exit_code) == (reason, 65)
    assert (status.failure.message, status.failure.hint) == (f"played {reason}", "Play on.")
    assert said(status, "Trained")[:2] == ("False", reason)
    assert [(one.result, one.exit_code) for one in status.attempts] == [("Failed", 65)]
    (pod,) = await world.names_of("Pod")
    assert await world.children() == [f"Job/{attempt}", f"Pod/{pod}", f"ConfigMap/{attempt}"]
    assert await world.names_of("PersistentVolumeClaim") == ["flowers-models"]


async def test_the_record_of_a_failed_job_stays_when_the_job_is_gone(world: World, operator: Operator):
    await world.apply(data=playing("fail DataNotFound"), policy={"ttlSecondsAfterFinished": 0})
    await world.condition("Stalled")
    await world.gone()
    await operator.look()
    await operator.look()

    status = await world.status()
    assert status.failure is not None
    assert status.failure.reason == "DataNotFound"
    assert await world.children() == []


@pytest.mark.minicluster
async def test_a_failed_run_leaves_the_old_model_serving(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(data=playing("fail DataEmpty"))
    status = await world.condition("Stalled")

    assert status.phase == "Degraded"
    assert said(status, "Available")[:2] == ("True", "ServingEarlierRevision")
    assert said(status, "Ready")[:2] == ("False", "DataEmpty")
    assert status.serving.revision == first.revision
    assert (await world.ask())["revision"] == first.revision


async def test_a_refused_model_gets_no_traffic_until_the_gate_is_lowered_and_is_not_trained_again(
    world: World, operator: Operator
):
    await world.apply(data=playing("accuracy 0.5"), gate={"min": 0.9})
    refused = await world.condition("GatePassed", "False", "GateRefused")
    await operator.look()
    deployments = await world.names_of("Deployment")
    await world.edit(gate={"min": 0.4})
    await world.ready()

    assert deployments == []
    assert refused.phase == "Failed"
    assert refused.failure is not None
    assert "0.5" in refused.failure.message
    assert len(await world.every("Job")) == 1


@pytest.mark.minicluster
async def test_a_refused_model_leaves_the_old_one_serving(world: World, operator: Operator):
    await world.apply(gate={"min": 0.9})
    first = await world.ready()
    await world.edit(data=playing("accuracy 0.5"))
    status = await world.condition("GatePassed", "False", "GateRefused")
    await operator.look()

    assert status.phase == "Degraded"
    assert (await world.ask())["revision"] == first.revision


async def test_a_new_text_in_the_retry_annotation_tries_once_more(world: World, operator: Operator):
    await world.apply(data=playing("fail DataNotFound"))
    await world.condition("Stalled")
    await world.annotate(retry="the data is there now")

    async def tried() -> bool:
        return len((await world.status()).attempts) == 2 and (await world.status()).phase == "Failed"

    await world.until(tried, "second attempt")
    await operator.look()
    status = await world.status()
    assert [(one.number, one.result) for one in status.attempts] == [(1, "Failed"), (2, "Failed")]
    assert await world.names_of("Job") == [f"flowers-{status.revision}-{number}" for number in (1, 2)]
