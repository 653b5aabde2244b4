"""What an edit does: the training part trains again, going back does not, everything else never trains."""

from typing import Any

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, playing, said

pytestmark = pytest.mark.cluster


@pytest.mark.minicluster
async def test_an_edit_trains_and_rolls_out_and_a_revert_brings_the_old_bundle_back_without_a_job(
    world: World, operator: Operator
):
    await world.apply()
    first = await world.ready()
    await world.edit(training={"seed": 2})
    second = await world.ready()
    answered = (await world.ask())["revision"]
    jobs = await world.names_of("Job")
    await world.edit(training={"seed": 17})
    third = await world.ready()

    assert first.revision == third.revision != second.revision
    assert answered == second.revision
    assert jobs == sorted(f"flowers-{one.revision}-1" for one in (first, second))
    assert await world.names_of("Job") == jobs
    assert (await world.ask())["revision"] == first.revision
    assert third.serving.loaded_sha256 == first.serving.loaded_sha256


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            {"replicas": 2, "labels": {"team": "plants"}, "annotations": {"note": "new"}}, id="replicas, labels"
        ),
        pytest.param({"env": [{"name": "GREETING", "value": "hello"}]}, id="env"),
        pytest.param(
            {"postprocessing": {"topK": 2, "labels": {"a": "b"}}, "limits": {"timeoutSeconds": 3}}, id="answers"
        ),
    ],
)
async def test_a_change_of_serving_never_trains(world: World, operator: Operator, change: dict[str, Any]):
    await world.apply()
    first = await world.ready()
    before = (await world.get("Deployment"))["metadata"]["generation"]
    await world.edit(serving=change)
    second = await world.ready()

    assert second.revision == first.revision
    assert len(await world.every("Job")) == 1
    assert (await world.get("Deployment"))["metadata"]["generation"] > before


async def test_compute_policy_gate_and_metadata_never_train_nor_roll_out(world: World, operator: Operator):
    await world.apply(gate={"min": 0.5})
    first = await world.ready()
    before = (await world.get("Deployment"))["spec"]["template"]
    await world.edit(
        compute={"env": [{"name": "A", "value": "1"}], "labels": {"a": "b"}}, policy={"retries": 1}, gate={"min": 0.99}
    )
    labels = {"metadata": {"labels": {"team": "plants"}, "annotations": {"note": "x"}}}
    await world.kube.merge(names.KIND, world.namespace, "flowers", labels)
    second = await world.ready()
    await operator.look()

    assert second.revision == first.revision
    assert len(await world.every("Job")) == 1
    assert (await world.get("Deployment"))["spec"]["template"] == before


@pytest.mark.minicluster
async def test_a_variable_that_is_taken_out_of_the_spec_leaves_the_pods(world: World, operator: Operator):
    await world.apply(serving={"env": [{"name": "GREETING", "value": "hello"}, {"name": "KEPT", "value": "1"}]})
    await world.ready()
    before = (await world.ask())["environment"]
    await world.edit(serving={"env": [{"name": "KEPT", "value": "1"}]})
    await world.ready()

    after = (await world.ask())["environment"]
    assert before["GREETING"] == "hello"
    assert "GREETING" not in after
    assert after["KEPT"] == "1"


async def test_what_others_add_to_the_deployment_stays(world: World, operator: Operator):
    await world.apply()
    await world.ready()
    theirs = {"metadata": {"annotations": {"example.org/scanned": "yes"}}}
    await world.call(
        f"/apis/apps/v1/namespaces/{world.namespace}/deployments/flowers",
        "PATCH",
        theirs,
        "application/merge-patch+json",
        (("fieldManager", "scanner"),),
    )
    await world.edit(serving={"replicas": 2})
    await world.ready()

    deployment = await world.get("Deployment")
    assert deployment["metadata"]["annotations"]["example.org/scanned"] == "yes"
    assert deployment["spec"]["replicas"] == 2


async def test_what_others_change_in_the_deployment_is_put_right(world: World, operator: Operator):
    await world.apply(serving={"replicas": 2})
    await world.ready()
    await world.kube.merge("Deployment", world.namespace, "flowers", {"spec": {"replicas": 0}})

    async def back() -> bool:
        return (await world.get("Deployment"))["spec"]["replicas"] == 2

    await world.until(back, "two replicas")


async def test_suspend_stops_training_and_goes_on_with_the_next_attempt(world: World, operator: Operator):
    await world.apply(data=playing("wait"))
    await world.pod_runs()
    await world.edit(suspend=True)
    status = await world.condition("Trained", "False", "Suspended")

    async def stopped() -> bool:
        return not await world.every("Job")

    await world.until(stopped, "end of the Job")
    assert status.phase == "Suspended"
    await world.edit(suspend=False)
    await world.pod_runs()
    status = await world.status()
    assert [(one.number, one.result) for one in status.attempts] == [(1, "Stopped"), (2, "Running")]
    assert status.revisions[0].crashes == 0


@pytest.mark.minicluster
async def test_what_is_served_stays_while_training_is_suspended(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(suspend=True, training={"seed": 2})
    status = await world.condition("Trained", "False", "Suspended")

    assert said(status, "Available")[:2] == ("True", "ServingEarlierRevision")
    assert (await world.ask())["revision"] == first.revision


@pytest.mark.minicluster
async def test_a_pinned_revision_is_served_whatever_is_trained(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(training={"seed": 2}, serving={"revision": first.revision})
    status = await world.condition("Trained")
    assert status.revision != first.revision
    await world.ready()
    assert (await world.ask())["revision"] == first.revision
    await world.edit(serving={"revision": ""})
    second = await world.ready()

    assert (await world.ask())["revision"] == second.revision != first.revision


@pytest.mark.minicluster
async def test_a_pin_of_an_unknown_revision_changes_nothing_and_names_the_known_ones(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(serving={"revision": "v1-0123456789"})
    status = await world.condition("ConfigValid", "False", "UnknownRevision")

    assert first.revision in said(status, "ConfigValid")[2]
    assert said(status, "Stalled")[:2] == ("True", "UnknownRevision")
    assert (await world.ask())["revision"] == first.revision


async def test_without_serving_nothing_answers_and_ready_means_trained(world: World, operator: Operator):
    await world.apply()
    await world.ready()
    await world.edit(serving={"enabled": False})
    status = await world.ready()

    async def removed() -> bool:
        return not [
            child for kind in ("Deployment", "Service", "PodDisruptionBudget") for child in await world.every(kind)
        ]

    await world.until(removed, "end of what answers")
    assert status.phase == "Trained"
    await world.edit(serving={"enabled": True})
    status = await world.ready()
    assert status.phase == "Ready"
    assert len(await world.every("Job")) == 1
