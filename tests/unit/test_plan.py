"""What the operator decides, as scenes: a cluster is played as data, and the plan is carried out on it."""

import json
from typing import Any

import pytest

from autotrain_api.names import Reason
from autotrain_operator import plan
from autotrain_operator.context import Amend, Create
from operator_world import SETTINGS, World


def served(**sections: object) -> World:
    """Trained, rolled out, Ready."""
    return World(**sections).settle().trains().rolls_out()


def test_a_new_object_gets_a_claim_a_job_and_its_configuration() -> None:
    world = World().settle()

    assert [child.split("/")[0] for child in world.created] == ["PersistentVolumeClaim", "Job", "ConfigMap"]
    assert world.seen.jobs[0]["spec"]["suspend"] is False
    assert world.status.phase == "Pending"
    assert {condition.type for condition in world.status.conditions} == {
        "ConfigValid",
        "Trained",
        "GatePassed",
        "RolledOut",
        "Available",
        "Ready",
        "Stalled",
    }


def test_a_job_is_held_until_its_configuration_is_there() -> None:
    world = World().settle()
    [job] = world.seen.jobs
    job["spec"]["suspend"], world.seen.config_maps = True, frozenset()
    step = plan.next_step(world.obj, world.seen, SETTINGS, world.now)

    assert isinstance(step.training[0], Create)
    assert step.training[0].body["kind"] == "ConfigMap"
    assert step.training[1:] == (Amend(job, {"suspend": False}),)


def test_the_whole_life_ends_in_ready() -> None:
    world = World().settle().training_starts()
    assert world.status.phase == "Training"
    world.trains()
    assert world.status.phase == "RollingOut"
    world.rolls_out()

    assert world.status.phase == "Ready"
    assert world.condition("Ready") == ("True", Reason.AS_DESIRED)
    assert world.status.serving.revision == world.revision == world.served
    assert world.status.serving.loaded_sha256
    assert world.jobs_created() == 1


def test_a_changed_training_part_trains_again_and_the_old_model_answers_meanwhile() -> None:
    world = served()
    first = world.revision
    world.edit(training={"epochs": 3})

    assert world.revision != first
    assert world.condition("Available") == ("True", Reason.SERVING_EARLIER)
    assert world.served == first
    world.trains().rolls_out()
    assert world.served == world.revision


def test_going_back_to_an_earlier_spec_trains_nothing() -> None:
    world = served(training={"epochs": 2})
    first = world.revision
    world.edit(training={"epochs": 3}).trains().rolls_out()
    world.edit(training={"epochs": 2})

    assert world.served == first
    assert world.jobs_created() == 2
    assert world.rolls_out().status.phase == "Ready"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"serving": {"replicas": 3}}, id="replicas"),
        pytest.param({"serving": {"postprocessing": {"topK": 1}}}, id="postprocessing"),
        pytest.param({"serving": {"gpus": 1}}, id="gpus"),
        pytest.param({"compute": {"gpusPerNode": 0}}, id="compute"),
        pytest.param({"policy": {"retries": 0}}, id="policy"),
        pytest.param({"gate": {"min": 0.99}}, id="gate"),
    ],
)
def test_what_does_not_change_the_weights_never_trains(change: dict[str, object]) -> None:
    world = served()
    world.edit(**change).rolls_out()

    assert world.jobs_created() == 1
    assert world.status.phase == "Ready"


def test_the_users_error_is_final_after_one_attempt() -> None:
    world = World().settle().fails()

    assert world.status.phase == "Failed"
    assert world.condition("Stalled") == ("True", Reason.DATA_NOT_FOUND)
    failure = world.status.failure
    assert failure is not None
    assert (failure.exit_code, failure.message) == (65, "404 for flowers.tgz")
    assert failure.hint == "Check spec.data.uri."
    assert world.wait(100_000).jobs_created() == 1


def test_a_failed_run_leaves_the_old_model_serving() -> None:
    world = served()
    first = world.revision
    world.edit(training={"epochs": 3}).fails()

    assert world.status.phase == "Degraded"
    assert world.served == first
    assert world.condition("Available")[0] == "True"


def test_crashes_are_tried_again_later_each_time_until_the_retries_are_used_up() -> None:
    world = World(policy={"retries": 2}).settle()
    waits = []
    for _ in range(3):
        world.training_starts().training_ends(1, "Traceback\nKeyError: 'x'", "Error")
        if world.requeue_after:
            waits.append(world.requeue_after)
            assert world.condition("Trained") == ("False", Reason.RETRYING)
            world.wait(world.requeue_after + 1)

    assert waits == [10, 20]
    assert world.jobs_created() == 3
    assert world.status.phase == "Failed"
    assert world.status.failure is not None
    assert world.status.failure.last_log_lines == ["Traceback", "KeyError: 'x'"]


def test_exit_code_65_without_a_message_is_a_crash() -> None:
    world = World().settle().training_starts().training_ends(65, "no json", "Error")

    assert world.condition("Trained") == ("False", Reason.RETRYING)


def test_out_of_memory_halves_the_pictures_per_pass_and_counts_against_nothing() -> None:
    world = World(training={"batchSize": 32}, policy={"retries": 0}).settle()
    world.training_starts().training_ends(137, "", "OOMKilled")

    assert world.jobs_created() == 2
    assert [attempt.micro_batch_size for attempt in world.status.attempts] == [16, 16]
    world.training_starts().training_ends(137, "", "OOMKilled")
    assert [attempt.micro_batch_size for attempt in world.status.attempts] == [16, 8, 8]


def test_out_of_memory_is_final_where_the_policy_says_so() -> None:
    world = World(policy={"onOutOfMemory": "Fail"}).settle().training_starts().training_ends(137, "", "OOMKilled")

    assert world.condition("Trained") == ("False", Reason.OUT_OF_MEMORY)
    assert world.jobs_created() == 1


def test_a_job_that_somebody_deleted_is_replaced_and_not_counted() -> None:
    world = World(policy={"retries": 0}).settle().training_starts()
    world.seen.jobs.clear()
    world.settle()

    assert world.jobs_created() == 2
    assert [attempt.result for attempt in world.status.attempts] == ["Stopped", "Running"]


def test_a_change_of_compute_replaces_a_job_whose_pod_has_not_started() -> None:
    world = World().settle().pod_waits("ContainerCreating")
    world.edit(compute={"gpusPerNode": 0})

    assert world.jobs_created() == 2
    limits = world.job["spec"]["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
    assert "nvidia.com/gpu" not in limits


def test_a_change_of_compute_leaves_a_running_job_alone() -> None:
    world = World().settle().training_starts()
    world.edit(compute={"gpusPerNode": 0})

    assert world.jobs_created() == 1


def test_an_image_that_cannot_be_pulled_is_told_while_it_waits_and_final_after_the_deadline() -> None:
    world = World(policy={"deadlines": {"pendingSeconds": 60}}).settle().pod_waits("ImagePullBackOff", "no such image")

    assert world.condition("Trained") == ("False", Reason.IMAGE_PULL)
    assert world.status.failure is not None
    assert "imagePullSecrets" in world.status.failure.hint
    world.wait(61)
    assert world.condition("Stalled") == ("True", Reason.PENDING_DEADLINE)
    assert not world.seen.jobs


def test_training_that_takes_too_long_is_stopped() -> None:
    world = World(policy={"deadlines": {"trainSeconds": 100}}).settle().training_starts().wait(101)

    assert world.condition("Stalled") == ("True", Reason.TRAIN_DEADLINE)
    assert not world.seen.jobs


def test_suspending_stops_the_job_and_resuming_goes_on_with_the_next_attempt() -> None:
    world = World().settle().training_starts().edit(suspend=True)
    assert world.status.phase == "Suspended"
    assert not world.seen.jobs
    world.edit(suspend=False)

    assert world.job["metadata"]["name"].endswith("-2")
    assert world.status.revisions[0].crashes == 0


def test_suspending_leaves_what_is_served_alone() -> None:
    world = served()
    first = world.revision
    world.edit(suspend=True, training={"epochs": 3})

    assert world.served == first
    assert world.condition("Available")[0] == "True"


def test_a_superseded_run_is_stopped_before_the_next_begins() -> None:
    world = World().settle().training_starts()
    first = world.job["metadata"]["name"]
    world.edit(training={"epochs": 3})

    assert [job["metadata"]["name"] for job in world.seen.jobs] != [first]
    assert len(world.seen.jobs) == 1


def test_a_model_below_the_gate_gets_no_traffic_and_a_lowered_gate_lets_it_through_untrained() -> None:
    world = World(gate={"min": 0.99}).settle().trains(0.95)
    assert world.condition("GatePassed") == ("False", Reason.GATE_REFUSED)
    assert world.status.phase == "Failed"
    assert world.seen.deployment is None
    world.edit(gate={"min": 0.9}).rolls_out()

    assert world.status.phase == "Ready"
    assert world.jobs_created() == 1


def test_a_model_that_passed_its_gate_is_never_judged_again() -> None:
    world = served(gate={"min": 0.9})
    world.edit(gate={"min": 0.99})

    assert world.condition("GatePassed")[0] == "True"
    assert world.status.phase == "Ready"


def test_a_rollout_that_misses_its_deadline_brings_the_last_good_model_back() -> None:
    world = served()
    first = world.revision
    world.edit(training={"epochs": 3}).trains()
    world.pods_say(Reason.BUNDLE_ALTERED, "model.onnx: its sha256 is not the manifest's")
    assert world.condition("RolledOut") == ("False", Reason.BUNDLE_ALTERED)
    assert "model.onnx" in world.message("RolledOut")
    world.rollout_stands_still(ready=1)

    assert world.served == first
    world.rolls_out()
    assert world.condition("RolledOut") == ("False", Reason.ROLLED_BACK)
    assert "model.onnx" in world.message("RolledOut")
    assert world.status.phase == "Degraded"
    assert world.wait(10_000).served == first


def test_after_a_failed_rollout_the_retry_annotation_tries_again() -> None:
    world = served()
    world.edit(training={"epochs": 3}).trains().rollout_stands_still(ready=1).rolls_out()
    world.annotate(retry="now").trains()

    assert world.served == world.revision
    assert world.jobs_created() == 3


def test_a_model_that_never_ran_is_not_the_last_good_one() -> None:
    world = served()
    first = world.revision
    world.edit(serving={"replicas": 0}).rolls_out().edit(training={"epochs": 3}).trains().rolls_out()
    assert world.status.serving.revision == first
    assert world.condition("Available") == ("False", Reason.NOT_SERVING)
    assert "spec.serving.replicas is 0" in world.message("RolledOut")
    world.deployment["status"]["conditions"] = [{"type": "Progressing", "reason": "NewReplicaSetAvailable"}]
    world.edit(serving={"replicas": 1})
    world.deployment["status"] |= {"observedGeneration": world.deployment["metadata"]["generation"], "replicas": 1}
    world.pods_say(Reason.GOLDEN_MISMATCH, "golden scores differ")

    assert world.served == first
    world.rolls_out()
    assert world.condition("RolledOut") == ("False", Reason.ROLLED_BACK)
    assert "golden scores differ" in world.message("RolledOut")


@pytest.mark.parametrize("earlier", [False, True])
def test_a_corrected_rollout_is_on_its_way_again(earlier: bool) -> None:
    world = served().edit(training={"epochs": 3}).trains() if earlier else World().settle().trains()
    world.rollout_stands_still(ready=int(earlier))
    assert world.condition("Stalled")[0] == "True"
    world.wait(5).edit(serving={"image": "server:2"})
    world.deployment["status"] |= {"observedGeneration": world.deployment["metadata"]["generation"]}
    world.settle()

    assert world.served == world.revision
    assert world.condition("Stalled") == ("False", Reason.PROGRESSING)
    assert world.status.phase == "RollingOut"
    assert world.status.failure is None


def test_a_first_rollout_that_is_late_may_still_succeed() -> None:
    world = World().settle().trains().rollout_stands_still()
    assert world.status.phase == "Failed"
    assert world.condition("Stalled")[0] == "True"

    assert world.rolls_out().status.phase == "Ready"


def test_a_late_change_of_the_template_is_reported_and_left() -> None:
    world = served()
    world.edit(serving={"image": "broken:1"}).rollout_stands_still(ready=1)

    assert world.condition("RolledOut") == ("False", Reason.ROLLOUT_DEADLINE)
    assert world.served == world.revision
    assert world.status.phase == "Degraded"


def test_the_condition_of_an_earlier_rollout_says_nothing_about_the_next() -> None:
    world = served()
    world.edit(training={"epochs": 3}).trains()
    world.rollout_stands_still(ready=1)
    lingering = world.deployment["status"]["conditions"]
    world.wait(5).edit(training={"epochs": 4}).trains()
    world.deployment["status"] |= {
        "observedGeneration": world.deployment["metadata"]["generation"],
        "conditions": lingering,
    }
    world.settle()

    assert world.served == world.revision
    assert world.condition("RolledOut") == ("False", Reason.ROLLING_OUT)


def test_the_retry_annotation_tries_a_failed_training_once_more() -> None:
    world = World().settle().fails().annotate(retry="2026-01-02")
    assert world.jobs_created() == 2
    world.fails()

    assert world.status.phase == "Failed"
    assert world.jobs_created() == 2


def test_a_pinned_revision_is_served_and_an_unknown_one_is_refused_in_words() -> None:
    world = served()
    first = world.revision
    world.edit(training={"epochs": 3}).trains().rolls_out().edit(serving={"revision": first}).rolls_out()
    assert world.served == first
    assert world.condition("Ready")[0] == "True"
    world.edit(serving={"revision": "v1-0123456789"})

    assert world.served == first
    assert world.condition("ConfigValid") == ("False", Reason.UNKNOWN_REVISION)
    assert first in world.message("ConfigValid")


def test_with_serving_disabled_trained_is_ready_and_nothing_is_served() -> None:
    world = World(serving={"enabled": False}).settle().trains()

    assert world.status.phase == "Trained"
    assert world.condition("Ready")[0] == "True"
    assert world.seen.deployment is None


def test_disabling_serving_takes_the_children_away() -> None:
    world = served().edit(serving={"enabled": False})

    assert (world.seen.deployment, world.seen.service, world.seen.budget) == (None, None, None)


@pytest.mark.parametrize("kind", ["deployment", "service", "budget"])
def test_disabled_serving_leaves_the_children_of_somebody_else(kind: str) -> None:
    world = World(serving={"enabled": False})
    child = {"kind": kind.title(), "metadata": {"name": "flowers", "uid": "x", "labels": {}}, "spec": {}}
    setattr(world.seen, kind, child)
    world.settle().trains()

    assert getattr(world.seen, kind) is child


@pytest.mark.parametrize(
    ("modes", "replicas", "most"),
    [(["ReadWriteOnce"], 2, "100%"), (["ReadWriteOnce"], 1, 1), (["ReadWriteMany"], 2, 1)],
)
def test_pods_that_stay_together_may_leave_together(modes: list[str], replicas: int, most: object) -> None:
    world = World(output={"storage": {"accessModes": modes}}, serving={"replicas": replicas}).settle().trains()

    assert world.seen.budget is not None
    assert world.seen.budget["spec"]["maxUnavailable"] == most


@pytest.mark.parametrize("kind", ["deployment", "service", "budget", "claim"])
def test_a_child_of_somebody_else_is_reported_and_nothing_begins(kind: str) -> None:
    world = World()
    child = {"kind": kind.title(), "metadata": {"name": "flowers", "uid": "x", "labels": {}}, "spec": {}}
    setattr(world.seen, kind, child)
    world.settle()

    assert world.condition("Stalled") == ("True", Reason.NAME_CONFLICT)
    assert world.created == []
    assert getattr(world.seen, kind) is child


def test_children_of_an_earlier_object_are_waited_for_and_never_adopted() -> None:
    old = World().settle()
    world = World()
    world.obj["metadata"]["uid"] = "uid-of-the-next"
    world.seen.strangers = old.seen.jobs
    world.settle()
    assert world.condition("Trained") == ("Unknown", Reason.WAITING_FOR_DELETION)
    assert world.created == []
    world.seen.strangers = []

    assert world.settle().jobs_created() == 1


def test_the_claim_of_an_earlier_object_is_used_again() -> None:
    old = World().settle()
    world = World()
    world.obj["metadata"]["uid"] = "uid-of-the-next"
    world.seen.claim = old.seen.claim
    world.settle()

    assert [child.split("/")[0] for child in world.created] == ["Job", "ConfigMap"]


def test_where_the_status_is_lost_the_finished_job_tells_again() -> None:
    world = served()
    del world.obj["status"]
    world.settle()

    assert world.status.phase == "Ready"
    assert world.jobs_created() == 1


def test_where_status_and_jobs_are_lost_one_job_finds_the_bundle_and_the_pods_stay() -> None:
    world = served()
    template = world.deployment["spec"]["template"]
    del world.obj["status"]
    world.seen.jobs.clear()
    world.settle()
    assert world.jobs_created() == 2
    assert world.condition("Available")[0] == "True"
    world.trains()

    assert world.status.phase == "Ready"
    assert world.deployment["spec"]["template"] == template


def test_a_finished_job_gets_its_time_to_live_only_when_its_result_is_recorded() -> None:
    world = World(policy={"ttlSecondsAfterFinished": 60}).settle().training_starts()
    assert "ttlSecondsAfterFinished" not in world.job["spec"]

    assert world.trains().job["spec"]["ttlSecondsAfterFinished"] == 60


def test_a_verdict_stays_when_its_job_is_gone() -> None:
    world = World().settle().fails()
    world.seen.jobs.clear()
    world.seen.pods.clear()

    assert world.settle().status.phase == "Failed"
    assert world.jobs_created() == 1


def test_an_unknown_backbone_is_named_with_its_neighbours_and_no_job_is_made() -> None:
    world = World(model={"backbone": "resnet81"}).settle()

    assert world.status.phase == "Invalid"
    assert world.condition("ConfigValid") == ("False", Reason.UNKNOWN_BACKBONE)
    assert "resnet18" in world.message("ConfigValid")
    assert world.created == []


def test_what_the_operator_does_not_know_in_a_spec_is_a_status_and_touches_nothing() -> None:
    world = served()
    world.obj["spec"]["trainig"] = {"epochs": 3}
    world.settle()

    assert world.status.phase == "Invalid"
    assert "did you mean training?" in world.message("ConfigValid")
    assert world.served == world.status.serving.revision


def test_missing_replicas_are_not_a_failed_rollout() -> None:
    world = served(serving={"replicas": 2})
    world.deployment["status"] |= {"readyReplicas": 1, "availableReplicas": 1}
    world.settle()

    assert world.condition("RolledOut")[0] == "True"
    assert world.condition("Ready") == ("False", Reason.REPLICAS_MISSING)


def test_a_settled_object_asks_for_nothing() -> None:
    assert served().requeue_after is None


def test_the_largest_status_stays_below_16_kib() -> None:
    world = World(policy={"retries": 100}, data={"uri": "https://example.org/" + "x" * 500}).settle()
    for epochs in range(2, 16):
        world.edit(training={"epochs": epochs})
        for _ in range(2):
            world.training_starts().training_ends(1, "\n".join(f"{n} " + "y" * 600 for n in range(30)), "Error")
            world.wait(700)
        world.trains() if epochs % 2 else world.training_starts().training_ends(1, "z" * 9000, "Error")

    assert len(world.status.revisions) <= 12
    assert len(json.dumps(world.obj["status"])) < 16 * 1024


def test_the_largest_name_fits_into_every_childs_name() -> None:
    world = World()
    world.obj["metadata"]["name"] = "a" * 50
    world.settle().trains()

    assert all(len(child.split("/")[1]) <= 63 for child in world.created)


def test_the_settings_of_the_chart_fill_what_the_job_leaves_open() -> None:
    settings = SETTINGS.model_copy(update={"gpus_per_node": 0, "training_resources": {"limits": {"memory": "4Gi"}}})
    world = World(settings=settings).settle()

    container = world.job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"limits": {"memory": "4Gi"}}
    assert container["image"] == "trainer:1"


def test_gpus_are_a_limit_of_serving_pods_and_told_to_the_server() -> None:
    world = served()
    before = pod_of_serving(world)
    after = pod_of_serving(world.edit(serving={"gpus": 2}))

    assert "AUTOTRAIN_GPUS" not in {variable["name"] for variable in before["env"]}
    assert {"name": "AUTOTRAIN_GPUS", "value": "2"} in after["env"]
    assert after["resources"]["limits"]["nvidia.com/gpu"] == 2


def test_a_store_that_serving_pods_cannot_reach_is_told() -> None:
    world = World(output={"uri": "s3://models"}).settle().trains()
    world.pods_say(Reason.BUNDLE_UNREACHABLE, "s3://models/lab: access is denied (403)")

    assert world.condition("RolledOut") == ("False", Reason.BUNDLE_UNREACHABLE)
    assert "access is denied" in world.message("RolledOut")


def pod_of_serving(world: World) -> dict[str, Any]:
    deployment = world.seen.deployment
    assert deployment is not None
    container: dict[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return container
