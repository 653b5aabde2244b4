"""The Job controller with real processes."""

import asyncio
from typing import Any

import pytest

from minicluster.world import World, condition, has, job_spec, state

IGNORE_DISRUPTIONS = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}


async def test_a_job_that_succeeds_is_complete_and_keeps_what_its_pod_said(world: World) -> None:
    world.create("Job", "train", job_spec("echo working; printf done > /dev/termination-log"))

    job = await world.until("Job", has("Complete"))

    [pod] = world.pods()
    assert job["status"]["succeeded"] == 1
    assert job["status"]["completionTime"]
    assert condition(job, "SuccessCriteriaMet")["status"] == "True"
    assert pod["metadata"]["name"].startswith("train-")
    assert len(pod["metadata"]["name"]) == len("train-") + 5
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "train"
    assert pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == job["metadata"]["uid"]
    assert state(pod, "terminated")["message"] == "done"
    assert await world.log(pod["metadata"]["name"]) == "working\n"


async def test_a_pod_that_fails_is_tried_again_until_the_limit(world: World) -> None:
    world.create("Job", "train", job_spec("exit 3", backoffLimit=1))

    job = await world.until("Job", has("Failed"))

    assert condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert condition(job, "FailureTarget")["reason"] == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 2
    assert [state(pod, "terminated")["exitCode"] for pod in world.pods()] == [3, 3]


async def test_without_a_termination_message_the_end_of_the_log_is_told(world: World) -> None:
    spec = job_spec("echo first; echo last; exit 1", backoffLimit=0)
    spec["template"]["spec"]["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError"
    world.create("Job", "train", spec)

    await world.until("Job", has("Failed"))

    assert state(world.pods()[0], "terminated")["message"] == "first\nlast\n"


async def test_a_disrupted_pod_is_replaced_and_does_not_count(world: World) -> None:
    script = "trap 'exit 1' TERM; test -e /data/again && exit 0; touch /data/again; while :; do sleep 0.05; done"
    world.create("PersistentVolumeClaim", "data", claim_spec())
    spec = job_spec(script, backoffLimit=0, podReplacementPolicy="Failed", podFailurePolicy=IGNORE_DISRUPTIONS)
    with_volume(spec["template"], "data")
    world.create("Job", "train", spec)
    pod = await world.until("Pod", lambda pod: state(pod, "running"))

    conditions = [*pod["status"]["conditions"], {"type": "DisruptionTarget", "status": "True", "reason": "Drained"}]
    place = "Pod", "default", pod["metadata"]["name"]
    world.api.patch(*place, {"status": {"conditions": conditions}}, "status")
    world.api.delete(*place)
    job = await world.until("Job", has("Complete"))

    assert job["status"].get("failed") is None
    assert job["status"]["succeeded"] == 1


async def test_an_exit_code_can_fail_the_job_at_once(world: World) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [65]}}
    world.create("Job", "train", job_spec("exit 65", backoffLimit=5, podFailurePolicy={"rules": [rule]}))

    failed = condition(await world.until("Job", has("Failed")), "Failed")

    [pod] = world.pods()
    assert failed["reason"] == "PodFailurePolicy"
    name = pod["metadata"]["name"]
    expected = f"Container main for pod default/{name} failed with exit code 65 matching FailJob rule at index 0"
    assert failed["message"] == expected


async def test_a_job_over_its_deadline_fails_and_its_pod_ends(world: World) -> None:
    world.create(
        "Job", "train", job_spec("exec sleep 100", {"terminationGracePeriodSeconds": 1}, activeDeadlineSeconds=1)
    )

    job = await world.until("Job", has("Failed"))

    assert condition(job, "Failed")["reason"] == "DeadlineExceeded"
    assert not [pod for pod in world.pods() if state(pod, "running")]


async def test_deleting_a_running_job_in_the_foreground_waits_for_its_pod(world: World) -> None:
    script = "trap 'echo saved; exit 0' TERM; echo started; while :; do sleep 0.05; done"
    world.create("Job", "train", job_spec(script))
    pod = await world.until("Pod", lambda pod: state(pod, "running"))

    world.api.delete("Job", "default", "train", propagation="Foreground")
    ended = await world.until("Pod", lambda pod: state(pod, "terminated"))

    assert world.get("Job", "train")["metadata"]["deletionTimestamp"]
    assert state(ended, "terminated")["exitCode"] == 0
    await world.until_gone("Job", "train")
    await world.until_gone("Pod", pod["metadata"]["name"])


async def test_a_suspended_job_runs_nothing_until_it_is_resumed(world: World) -> None:
    world.create("Job", "train", job_spec("exit 0", suspend=True))
    await world.until("Job", has("Suspended"))
    assert world.pods() == []

    world.api.patch("Job", "default", "train", {"spec": {"suspend": False}})

    assert condition(await world.until("Job", has("Complete")), "Suspended")["status"] == "False"


async def test_an_indexed_job_gives_each_pod_its_index(world: World) -> None:
    script = 'printf "$JOB_COMPLETION_INDEX $(hostname)" > /dev/termination-log'
    spec = job_spec(script, completionMode="Indexed", completions=3, parallelism=2)
    world.create("Job", "train", spec)

    job = await world.until("Job", has("Complete"))

    said = {state(pod, "terminated")["message"].split()[0] for pod in world.pods()}
    assert said == {"0", "1", "2"}
    assert job["status"]["completedIndexes"] == "0-2"


async def test_a_finished_job_goes_after_its_time_to_live(world: World) -> None:
    world.create("Job", "train", job_spec("exit 0", ttlSecondsAfterFinished=0))

    await world.until("Job", lambda job: job["metadata"].get("deletionTimestamp"))

    await world.until_gone("Job", "train")
    assert world.pods() == []


async def test_a_pod_that_is_out_of_memory_says_so(world: World) -> None:
    world.create("Job", "train", job_spec("exec sleep 100", backoffLimit=0))
    pod = await world.until("Pod", lambda pod: state(pod, "running"))
    worker = world.machines.kubelet.worker_of(pod)
    container = worker.container(None) if worker else None
    assert container is not None

    container.killed_for_memory = True
    container.kill()

    ended = state(await world.until("Pod", lambda pod: state(pod, "terminated")), "terminated")
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        (
            {"nodeSelector": {"disk": "fast"}},
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        ),
        ({"gpu": 1}, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
    ],
)
async def test_a_pod_that_fits_nowhere_says_why(world: World, pod: dict[str, Any], told: str) -> None:
    spec = job_spec("exit 0", {key: value for key, value in pod.items() if key != "gpu"})
    if "gpu" in pod:
        spec["template"]["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    world.create("Job", "train", spec)

    waiting = await world.until("Pod", has("PodScheduled", "False", "Unschedulable"))

    assert condition(waiting, "PodScheduled")["message"] == told
    assert world.events("FailedScheduling") == [told]


async def test_deleting_a_job_whose_pod_waits_leaves_nothing(world: World) -> None:
    world.create("Job", "train", job_spec("exit 0", {"nodeSelector": {"disk": "fast"}}))
    pod = await world.until("Pod", has("PodScheduled", "False"))

    world.api.delete("Job", "default", "train")

    await world.until_gone("Pod", pod["metadata"]["name"])
    await asyncio.sleep(0.1)
    assert world.pods() == []


def claim_spec() -> dict[str, Any]:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def with_volume(pod_template: dict[str, Any], claim: str) -> None:
    pod_template["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    pod_template["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
