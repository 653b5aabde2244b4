"""Runs that end badly: what is tried again, when, how often, and what does not count."""

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, playing, said

pytestmark = pytest.mark.cluster


async def test_a_crash_is_tried_again_after_a_wait(world: World, operator: Operator):
    await world.apply(data=playing("code 1 1"))
    waiting = await world.condition("Trained", "False", "Retrying")
    await operator.look()
    before = await world.names_of("Job")
    operator.put_forward(11)
    status = await world.ready()

    assert before == [f"flowers-{status.revision}-1"]
    assert "attempt 2" in said(waiting, "Trained")[2]
    assert [(one.number, one.result, one.reason) for one in status.attempts] == [
        (1, "Failed", "Crashed"),
        (2, "Succeeded", "Trained"),
    ]


async def test_crashes_end_when_the_retries_are_used_up(world: World, operator: Operator):
    await world.apply(data=playing("code 1 99"), policy={"retries": 2})
    for wait in (11, 21):
        await world.condition("Trained", "False", "Retrying")
        operator.put_forward(wait)

        async def begun(jobs: int = len(await world.every("Job"))) -> bool:
            return len(await world.every("Job")) > jobs

        await world.until(begun, "next attempt")
    status = await world.condition("Stalled")
    operator.put_forward(9_999)
    await operator.look()
    await operator.look()

    assert len(await world.every("Job")) == 3
    assert status.failure is not None
    assert status.failure.reason == "RetriesExhausted"
    assert "exit code 1" in status.failure.message
    assert status.failure.last_log_lines == ["attempt 3 falls over"]
    assert {one.reason for one in status.attempts} == {"Crashed"}
    assert status.phase == "Failed"


async def test_exit_code_65_without_a_message_is_a_crash(world: World, operator: Operator):
    await world.apply(data=playing("code 65 1"))
    status = await world.condition("Trained", "False", "Retrying")

    assert status.attempts[0].reason == "Crashed"


async def test_out_of_memory_halves_the_pictures_per_pass_at_once(world: World, operator: Operator):
    await world.apply(data=playing("memory 16"), training={"batchSize": 64})
    status = await world.ready()

    assert [(one.result, one.reason, one.micro_batch_size) for one in status.attempts] == [
        ("Failed", "OutOfMemory", 32),
        ("Failed", "OutOfMemory", 16),
        ("Succeeded", "Trained", 16),
    ]
    config = await world.get("ConfigMap", f"flowers-{status.revision}-3")
    assert "microBatchSize: 16" in config["data"][names.RUN_FILE]


async def test_out_of_memory_ends_the_run_where_the_policy_says_so(world: World, operator: Operator):
    await world.apply(data=playing("memory 16"), policy={"onOutOfMemory": "Fail"})
    status = await world.condition("Stalled")

    assert status.failure is not None
    assert (status.failure.reason, status.failure.exit_code) == ("OutOfMemory", 75)
    assert len(status.attempts) == 1


@pytest.mark.minicluster
async def test_a_container_killed_for_memory_counts_as_out_of_memory(world: World, operator: Operator):
    await world.apply(data=playing("wait"), training={"batchSize": 32})
    pod = await world.pod_runs()
    world.mini.out_of_memory(world.namespace, pod["metadata"]["name"])
    await world.pod_runs(other_than=[pod["metadata"]["uid"]])
    world.finish_training()
    status = await world.ready()

    assert [(one.result, one.micro_batch_size) for one in status.attempts] == [("Failed", 16), ("Succeeded", 16)]


@pytest.mark.minicluster
async def test_a_disrupted_pod_is_replaced_and_does_not_count(world: World, operator: Operator):
    await world.apply(data=playing("wait"), policy={"retries": 0})
    pod = await world.pod_runs()
    await world.disrupt(pod)
    await world.pod_runs(other_than=[pod["metadata"]["uid"]])
    world.finish_training()
    status = await world.ready()

    assert len(await world.every("Job")) == 1
    assert [(one.number, one.result) for one in status.attempts] == [(1, "Succeeded")]
    assert status.revisions[0].crashes == 0


@pytest.mark.minicluster
async def test_a_job_deleted_by_hand_is_followed_by_the_next_attempt_and_does_not_count(
    world: World, operator: Operator
):
    await world.apply(data=playing("wait"), policy={"retries": 0})
    pod = await world.pod_runs()
    (job,) = await world.names_of("Job")
    await world.delete("Job", job)
    await world.pod_runs(other_than=[pod["metadata"]["uid"]])
    world.finish_training()
    status = await world.ready()

    assert [(one.number, one.result) for one in status.attempts] == [(1, "Stopped"), (2, "Succeeded")]
    assert status.revisions[0].crashes == 0


async def test_training_that_takes_too_long_is_stopped(world: World, operator: Operator):
    await world.apply(data=playing("wait"), policy={"deadlines": {"trainSeconds": 600}})
    await world.pod_runs()
    operator.put_forward(590)
    await operator.look()
    assert (await world.status()).phase == "Training"
    operator.put_forward(20)
    status = await world.condition("Stalled", "True", "TrainDeadlineExceeded")

    await world.gone()
    assert status.failure is not None
    assert "trainSeconds (600 s)" in status.failure.message
    assert status.failure.hint


async def test_an_edit_stops_the_training_that_is_no_longer_wanted(world: World, operator: Operator):
    await world.apply(data=playing("wait"))
    pod = await world.pod_runs()
    before = (await world.status()).revision
    await world.edit(data=playing(""))
    status = await world.ready()

    assert status.revision != before
    assert await world.names_of("Job") == [f"flowers-{status.revision}-1"]
    assert pod["metadata"]["name"] not in await world.names_of("Pod")
    assert {one.revision: one.result for one in status.attempts} == {before: "Stopped", status.revision: "Succeeded"}
