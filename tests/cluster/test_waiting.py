"""Pods that neither run nor fail: the status says what they wait for and what to do, until pendingSeconds are over."""

import json
from typing import Any

import pytest

from cluster.operating import Operator
from cluster.world import World, said
from minicluster.errors import ApiError
from minicluster.faults import Fault

pytestmark = pytest.mark.cluster
SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "reader", "key": "key"}}}


@pytest.mark.parametrize(
    ("compute", "reason", "words"),
    [
        pytest.param(
            {"image": "nowhere.invalid/none:1"}, "ImagePullFailed", "nowhere.invalid/none:1", id="no such image"
        ),
        pytest.param({"env": [SECRET]}, "ContainerConfigError", "reader", id="no such secret"),
        pytest.param({"gpusPerNode": 8}, "Unschedulable", "nvidia.com/gpu", id="more GPUs than there are"),
        pytest.param({"nodeSelector": {"zone": "nowhere"}}, "Unschedulable", "node", id="no such node"),
    ],
)
async def test_a_training_pod_that_cannot_start_is_explained_and_given_up(
    world: World, operator: Operator, compute: dict[str, Any], reason: str, words: str
):
    await world.apply(compute=compute)
    waiting = await world.condition("Trained", "False", reason)
    operator.put_forward(3_601)
    status = await world.condition("Stalled", "True", "PendingDeadlineExceeded")

    assert words in said(waiting, "Trained")[2]
    assert waiting.phase == "Pending"
    assert waiting.failure is not None
    assert waiting.failure.hint
    assert status.failure is not None
    assert words in status.failure.message
    await world.gone()


async def test_a_pod_goes_on_when_its_secret_is_there(world: World, operator: Operator):
    await world.apply(compute={"env": [SECRET]})
    await world.condition("Trained", "False", "ContainerConfigError")
    secret = {"metadata": {"name": "reader"}, "stringData": {"key": "x"}}
    await world.call(f"/api/v1/namespaces/{world.namespace}/secrets", "POST", secret)
    status = await world.ready()

    assert len(status.attempts) == 1


async def test_a_job_waits_for_the_secret_of_its_data_and_nobody_writes_down_what_is_in_it(
    world: World, operator: Operator
):
    await world.apply(data={"secretRef": {"name": "reader"}})
    waiting = said(await world.condition("Trained", "False", "ContainerConfigError"), "Trained")[2]
    secret = {"metadata": {"name": "reader"}, "stringData": {"AWS_SECRET_ACCESS_KEY": "told-to-nobody"}}
    await world.call(f"/api/v1/namespaces/{world.namespace}/secrets", "POST", secret)
    status = await world.ready()
    written = [await world.get(), *await world.kube.events(world.namespace, (await world.get())["metadata"]["uid"])]
    for kind in ("Job", "Pod", "ConfigMap", "Deployment"):
        written += await world.every(kind)

    assert "reader" in waiting
    assert "secretRef" in waiting
    assert [one.result for one in status.attempts] == ["Succeeded"]
    assert "told-to-nobody" not in json.dumps(written)


async def test_an_image_corrected_before_anything_ran_is_used_at_once(world: World, operator: Operator):
    await world.apply(compute={"image": "nowhere.invalid/none:1"})
    await world.condition("Trained", "False", "ImagePullFailed")
    await world.edit(compute={"image": None})
    status = await world.ready()

    assert [one.result for one in status.attempts] == ["Stopped", "Succeeded"]


async def test_a_claim_without_a_volume_is_explained(world: World, operator: Operator):
    await world.apply(output={"storage": {"storageClassName": "nowhere"}})
    status = await world.condition("Trained", "False", "VolumeNotBound")

    assert status.failure is not None
    assert "describe pvc" in status.failure.hint


async def test_a_serving_pod_that_cannot_start_is_explained(world: World, operator: Operator):
    await world.apply(serving={"image": "nowhere.invalid/none:1"})
    status = await world.condition("RolledOut", "False", "ImagePullFailed")

    assert "nowhere.invalid" in said(status, "RolledOut")[2]


@pytest.mark.minicluster
@pytest.mark.parametrize("resource", ["jobs", "persistentvolumeclaims", "deployments"])
async def test_a_refusal_by_quota_is_told_and_tried_again(world: World, operator: Operator, resource: str):
    told = f'{resource} "flowers" is forbidden: exceeded quota: small, requested: count=1, used: count=1'
    fault = Fault(verbs=("create",), resource=resource, error=ApiError(403, "Forbidden", told))
    world.mini.faults.add(fault)
    await world.apply()
    condition = "RolledOut" if resource == "deployments" else "Trained"

    async def explained() -> bool:
        failure = (await world.status()).failure
        return failure is not None and failure.reason == "QuotaExceeded" and "ResourceQuota" in failure.hint

    await world.until(explained, "word of the quota")
    tries = fault.met
    world.mini.faults.clear()
    status = await world.ready()
    assert tries < 10
    assert said(status, condition)[0] == "True"
    assert status.failure is None


@pytest.mark.minicluster
async def test_what_answers_is_kept_up_while_training_is_refused(world: World, operator: Operator):
    await world.apply()
    await world.ready()
    told = 'jobs "flowers" is forbidden: exceeded quota: small, requested: count=1, used: count=1'
    world.mini.faults.add(Fault(verbs=("create",), resource="jobs", error=ApiError(403, "Forbidden", told)))
    await world.edit(training={"epochs": 7}, serving={"replicas": 2})

    async def scaled() -> bool:
        return bool((await world.get("Deployment"))["spec"]["replicas"] == 2)

    await world.until(scaled, "two replicas")
    await world.condition("Trained", "Unknown", "QuotaExceeded")
    await world.delete("Service")

    async def again() -> bool:
        return await world.names_of("Service") == ["flowers"]

    await world.until(again, "the service")
    world.mini.faults.clear()
    await world.ready()


@pytest.mark.minicluster
async def test_a_refusal_that_reads_otherwise_with_every_try_is_not_tried_more_often(world: World, operator: Operator):
    tries = [
        Fault(
            verbs=("create",), resource="jobs", skip=n, times=1, error=ApiError(403, "Forbidden", f"denied, try {n};")
        )
        for n in range(100)
    ]
    for fault in tries:
        world.mini.faults.add(fault)
    await world.apply()
    for number in range(3):
        words = f"denied, try {number};"

        async def is_told(words: str = words) -> bool:
            return any(words in condition.message for condition in (await world.status()).conditions)

        await world.until(is_told, words)
        operator.put_forward(11)
        await world.annotate(look=str(number))

    assert tries[0].met < 10
    world.mini.faults.clear()
    await world.ready()
