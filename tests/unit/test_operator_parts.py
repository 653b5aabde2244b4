"""The operator's smaller parts, each by itself."""

import asyncio
import copy
import itertools
from collections.abc import Sized
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autotrain_api.names import MANAGER, Reason
from autotrain_operator import attempts, events, plan, storage, training, validate, waiting
from autotrain_operator.children import adopted
from autotrain_operator.handlers import Endless
from autotrain_operator.ledger import read_status
from autotrain_operator.pods import Owner
from autotrain_operator.status import difference
from autotrain_operator.workqueue import WorkQueue
from operator_world import SETTINGS, START, World, trainingjob

KEY = ("lab", "flowers")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON.filter(lambda value: value is not None), max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


# --- status


@given(OBJECTS, OBJECTS)
def test_the_difference_of_two_states_is_the_merge_patch_between_them(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)

    assert merged(old, difference(old, new)) == new


@given(OBJECTS)
def test_where_nothing_changed_nothing_is_written(state: Any) -> None:
    assert difference(state, copy.deepcopy(state)) == {}


def test_a_status_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    known = World().settle().trains().obj["status"]

    assert read_status(known | {"novelty": 1}).revisions == read_status(known).revisions


def test_a_status_that_somebody_broke_counts_as_lost() -> None:
    assert read_status({"revisions": "all of them"}).revisions == []


# --- the queue


async def test_a_key_is_handed_out_once_however_often_it_is_added() -> None:
    queue = WorkQueue()
    for _ in range(3):
        queue.add(KEY)

    assert await queue.take() == KEY
    assert len(queue) == 1
    queue.done(KEY, None)
    assert len(queue) == 0


async def test_a_key_that_is_added_while_it_is_worked_on_comes_again_and_not_before() -> None:
    queue = WorkQueue()
    queue.add(KEY)
    await queue.take()
    queue.add(KEY)
    second = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    assert not second.done()
    queue.done(KEY, 1000)

    assert await second == KEY


async def test_errors_wait_longer_each_time_and_a_success_forgets_them() -> None:
    queue = WorkQueue()
    queue.add(KEY)
    waits = []
    for _ in range(8):
        queue.add(KEY)
        await queue.take()
        waits.append(queue.failed(KEY))
    queue.add(KEY)
    await queue.take()
    queue.done(KEY, None)
    queue.add(KEY)
    await queue.take()

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert queue.failed(KEY) == 1


async def test_the_earlier_of_two_later_looks_wins() -> None:
    queue = WorkQueue()
    queue.add_after(KEY, 1000)
    queue.add_after(KEY, 0)

    assert await asyncio.wait_for(queue.take(), 5) == KEY


# --- children


def entry(operation: str, manager: str = MANAGER, **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "time": "2026-01-01T12:00:00Z", **more}


def test_what_was_posted_becomes_what_was_applied_and_other_managers_stay() -> None:
    others = [entry("Update", "kubectl-edit"), entry("Update", "kube-controller-manager", subresource="status")]
    live = {"metadata": {"managedFields": [entry("Update"), *others]}}

    assert adopted(live) == [entry("Apply"), *others]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([entry("Apply")], id="applied before"),
        pytest.param([entry("Update", "kubectl-edit")], id="not ours"),
        pytest.param([], id="nobody's"),
    ],
)
def test_managed_fields_are_rewritten_only_where_it_is_needed(fields: list[dict[str, Any]]) -> None:
    assert adopted({"metadata": {"managedFields": fields}}) is None


# --- events


def test_an_event_is_about_a_transition_and_told_once() -> None:
    world = World().settle()
    before = world.status
    world.trains()
    told = list(events.transitions(world.obj, before, world.status, START))

    assert [event["reason"] for event in told] == [Reason.TRAINED, Reason.NO_GATE, Reason.ROLLING_OUT]
    assert list(events.transitions(world.obj, world.status, world.status, START)) == []


# --- pods that wait


@pytest.mark.parametrize(
    ("message", "reason", "hint"),
    [
        pytest.param("1 Insufficient nvidia.com/gpu.", Reason.UNSCHEDULABLE, "gpusPerNode", id="no GPU"),
        pytest.param('persistentvolumeclaim "data" not found', Reason.VOLUME_NOT_BOUND, "describe pvc", id="no claim"),
        pytest.param("1 node(s) had untolerated taint", Reason.UNSCHEDULABLE, "tolerations", id="taint"),
        pytest.param("1 node(s) were unschedulable", Reason.UNSCHEDULABLE, "Uncordon", id="cordoned"),
        pytest.param(
            "1 node(s) didn't match pod affinity rules",
            Reason.UNSCHEDULABLE,
            "ReadWriteOnce",
            id="bound to another node",
        ),
    ],
)
def test_a_pod_that_is_not_scheduled_says_what_to_do(message: str, reason: Reason, hint: str) -> None:
    message = f"0/1 nodes are available: {message}"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = waiting.waiting_of({"status": {"conditions": [condition]}})

    assert found is not None
    assert found.reason == reason
    assert hint in found.hint


def test_an_image_that_cannot_be_pulled_reads_the_same_while_it_is_tried_and_while_it_is_not() -> None:
    error = 'failed to pull and unpack image "x:1": not found'
    told = [
        waiting.waiting_of({"status": {"containerStatuses": [{"state": {"waiting": state}}]}})
        for state in (
            {"reason": "ErrImagePull", "message": error},
            {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "x:1": ErrImagePull: {error}'},
        )
    ]

    assert told[0] == told[1]
    assert told[0] is not None
    assert told[0].message == f"ErrImagePull: {error}"


def container(**status: Any) -> Any:
    return waiting.waiting_of({"status": {"containerStatuses": [{"ready": False, **status}]}})


@pytest.mark.parametrize(
    "state", [{"running": {}}, {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}]
)
def test_a_server_that_starts_again_and_again_is_told_by_its_last_end(state: dict[str, Any]) -> None:
    killed = container(state=state, lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}})
    crashed = container(state=state, lastState={"terminated": {"exitCode": 3, "message": "a\nno such file\n"}})

    assert killed.reason == Reason.OUT_OF_MEMORY
    assert "spec.serving.resources" in killed.hint
    assert crashed.reason == Reason.CRASHED
    assert crashed.message == "the container ends with exit code 3 and is started again: no such file"


def test_an_image_of_root_is_told_without_the_pod_s_name() -> None:
    message = 'container has runAsNonRoot and image will run as root (pod: "a-x7k2p_lab(6e1f)", container: trainer)'
    found = container(state={"waiting": {"reason": "CreateContainerConfigError", "message": message}})

    assert found.message.endswith("image will run as root")
    assert "USER" in found.hint


@pytest.mark.parametrize(
    ("message", "reason", "hint"),
    [
        pytest.param(
            'pods "a" is forbidden: exceeded quota: q, requested: pods=1', "QuotaExceeded", "Raise", id="quota"
        ),
        pytest.param(
            'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: trainer',
            "QuotaExceeded",
            "spec.compute.resources",
            id="a quota on what is not stated",
        ),
        pytest.param(
            'pods "a" is forbidden: violates PodSecurity "restricted:latest"', "Forbidden", "level", id="level"
        ),
        pytest.param(
            'pods "a-" is forbidden: error looking up service account lab/nobody: serviceaccount "nobody" not found',
            "Forbidden",
            "serviceAccountName",
            id="service account",
        ),
        pytest.param(
            'pods "a-" is forbidden: no PriorityClass with name nope was found',
            "Forbidden",
            "priorityClassName",
            id="priority",
        ),
        pytest.param(
            'pods "a-" is forbidden: pod rejected: RuntimeClass "nope" not found',
            "Forbidden",
            "runtimeClassName",
            id="runtime",
        ),
        pytest.param(
            'Pod "a" is invalid: spec.containers[0].resources.requests: Invalid value: "4Gi": must be less than or equal to '
            "memory limit of 64Mi",
            "Forbidden",
            "LimitRange",
            id="request above the default limit",
        ),
        pytest.param(
            'pods "a" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi',
            "Forbidden",
            "LimitRange",
            id="limit range",
        ),
        pytest.param(
            "jobs.batch \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no label",
            "Forbidden",
            "policy",
            id="admission policy",
        ),
    ],
)
def test_what_the_api_server_refuses_is_told_with_what_to_do(message: str, reason: str, hint: str) -> None:
    found = waiting.refused(message)

    assert found.reason == reason
    assert hint in found.hint
    assert found.message == message


def test_a_refusal_reads_the_same_with_every_try() -> None:
    tries = [
        f'Error creating: pods "digits-v1-5115ed6e8a-1-{end}" is forbidden: exceeded quota: q'
        for end in ("x7k2p", "9rxqf")
    ]

    assert len({waiting.refused(one) for one in tries}) == 1
    assert 'pods "digits-v1-5115ed6e8a-1-*"' in waiting.refused(tries[0]).message


def test_several_refused_fields_read_the_same_in_any_order() -> None:
    rule = "a valid label must be 63 characters or less (e.g. 'MyValue', or 'my', regex is '([a-z][-a-z]*)?[a-z]')"
    wrong = [f'spec.template.labels: Invalid value: "{value}": {rule}' for value in ("Größe", "日本", "a b")]
    tries = [f'Job.batch "a" is invalid: [{", ".join(order)}]' for order in itertools.permutations(wrong)]

    assert len({waiting.refused(one) for one in tries}) == 1
    assert waiting.refused(tries[0]).message in {one[: waiting.MESSAGE_LENGTH] for one in tries}


def test_a_refused_child_is_an_event_told_once() -> None:
    world = World().settle()
    before = world.status
    world.seen.jobs.clear()
    world.seen.refusal = waiting.refused('jobs.batch "a" is forbidden: exceeded quota: q')
    step = plan.next_step(world.obj, world.seen, SETTINGS, world.now)
    told = [event for event in events.transitions(world.obj, before, step.status, START) if event["type"] == "Warning"]

    assert [event["reason"] for event in told] == [Reason.QUOTA_EXCEEDED]
    assert "Raise the namespace's ResourceQuota" in told[0]["message"]


# --- watches


def test_kopf_never_gives_up_a_watch() -> None:
    waits = list(itertools.islice(Endless(), 100))

    assert not isinstance(Endless(), Sized)  # kopf counts the tries of what has a length
    assert waits[0] == 1
    assert max(waits) == waits[-1] == 30


# --- names and places


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        pytest.param("pvc://models", ("models", ""), id="the whole claim"),
        pytest.param("pvc://models/a/b/", ("models", "a/b"), id="a folder"),
        pytest.param("pvc://models/../../etc", ("models", "etc"), id="never above the claim"),
        pytest.param("pvc://models/a%20b", ("models", "a b"), id="escaped"),
    ],
)
def test_a_claim_and_a_path_in_it(uri: str, found: tuple[str, str]) -> None:
    assert storage.claim_and_path(uri) == found


def test_a_path_on_a_claim_is_escaped_as_often_as_it_is_read() -> None:
    world = World(data={"uri": "pvc://all/50%25%3F"}, output={"uri": "pvc://all/a%20b%23"})
    spec, owner = validate.parse_spec(world.obj["spec"]), Owner("lab", "flowers", "uid-1")

    assert storage.data_of(spec) == ("file:///mnt/data/50%25%3F", "all")
    assert storage.models_of(owner, spec).output_uri("v1-0") == "file:///mnt/models/a%20b%23/lab/flowers/v1-0"
    assert storage.models_of(owner, spec).bundle("v1-0") == "/mnt/models/a b#/lab/flowers/v1-0"


def test_two_long_names_never_share_a_job() -> None:
    one, other = (training.job_name("a" * 49 + last, "v1-0123456789", 12) for last in "bc")

    assert one != other
    assert len(one) <= 63


def test_data_and_models_on_the_same_claim_are_mounted_as_one_volume() -> None:
    world = World(data={"uri": "pvc://all/flowers"}, output={"uri": "pvc://all/models"}).settle()
    pod = world.job["spec"]["template"]["spec"]

    claims = [volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == ["models"]
    assert {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]} >= {"/mnt/data", "/mnt/models"}


IN_A_STORE = {"uri": "s3://models/some%20folder/../team", "secretRef": {"name": "writer"}}


def pods_of(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of training, and of serving."""
    training_pod = world.job["spec"]["template"]["spec"]
    world.trains()
    return training_pod, world.deployment["spec"]["template"]["spec"]


def test_models_in_a_store_need_no_claim_no_volume_and_no_node() -> None:
    world = World(output=IN_A_STORE).settle()
    pods = pods_of(world)

    assert not any(child.startswith("PersistentVolumeClaim/") for child in world.created)
    for pod in pods:
        assert "affinity" not in pod
        assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])
        assert not any(mount["mountPath"] == "/mnt/models" for mount in pod["containers"][0]["volumeMounts"])


def test_models_in_a_store_are_named_by_their_uri_for_both_pods() -> None:
    world = World(output=IN_A_STORE).settle()
    place = f"s3://models/some%20folder/team/lab/flowers/{world.revision}"
    owner, spec = Owner("lab", "flowers", "uid-1"), validate.parse_spec(world.obj["spec"])
    run = load(training.config_map(owner, spec, world.job, None, None))
    _, serving_pod = pods_of(world)
    environment = {variable["name"]: variable["value"] for variable in serving_pod["containers"][0]["env"]}

    assert run["outputUri"] == place
    assert environment["AUTOTRAIN_BUNDLE"] == place
    assert environment["AUTOTRAIN_BUNDLE_SHA256"]
    assert world.rolls_out().status.phase == "Ready"


def load(config_map: dict[str, Any]) -> dict[str, Any]:
    """run.yaml of an attempt."""
    run: dict[str, Any] = yaml.safe_load(config_map["data"]["run.yaml"])
    return run


def test_secrets_become_the_environment_of_the_pods_that_need_them_and_nothing_else() -> None:
    world = World(
        data={"uri": "s3://data/flowers", "secretRef": {"name": "reader"}},
        output=IN_A_STORE,
    ).settle()
    training_pod, serving_pod = pods_of(world)

    assert training_pod["containers"][0]["envFrom"] == [
        {"secretRef": {"name": "reader"}},
        {"secretRef": {"name": "writer"}},
    ]
    assert serving_pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "writer"}}]
    assert not any("secret" in volume for pod in (training_pod, serving_pod) for volume in pod["volumes"])


def test_one_secret_for_both_is_named_once_and_none_at_all_leaves_the_pods_as_they_were() -> None:
    both = World(data={"uri": "s3://a/b", "secretRef": {"name": "writer"}}, output=IN_A_STORE).settle()
    none = World().settle()

    assert both.job["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "writer"}}]
    assert all("envFrom" not in pod["containers"][0] for pod in pods_of(none))


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        pytest.param("s3://data/flowers", True, id="what is fetched"),
        pytest.param("pvc://data/flowers", False, id="what is mounted anyway"),
    ],
)
def test_a_cache_is_mounted_for_what_is_fetched(uri: str, kept: bool) -> None:
    world = World(data={"uri": uri, "cache": {"claimName": "shared"}}).settle()
    pod = world.job["spec"]["template"]["spec"]
    owner, spec = Owner("lab", "flowers", "uid-1"), validate.parse_spec(world.obj["spec"])
    run = load(training.config_map(owner, spec, world.job, None, None))
    claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in pod["volumes"]}

    assert ({"name": "cache", "mountPath": "/mnt/cache"} in pod["containers"][0]["volumeMounts"]) is kept
    assert run.get("dataCacheUri") == ("file:///mnt/cache" if kept else None)
    assert claims.get("cache") == ({"claimName": "shared"} if kept else None)


def test_pods_of_one_object_stay_on_the_node_of_their_volume_and_keep_the_users_affinity() -> None:
    mine = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    world = World(compute={"affinity": mine}).settle()
    affinity = world.job["spec"]["template"]["spec"]["affinity"]

    assert affinity["nodeAffinity"] == mine["nodeAffinity"]
    (term,) = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"] == {"autotrain.dev/trainingjob": "flowers"}


# --- words for bad specs


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        pytest.param({"trainig": {}}, ["spec.trainig", "did you mean training?"], id="unknown section"),
        pytest.param({"training": {"epoch": 3}}, ["spec.training.epoch", "did you mean epochs?"], id="unknown field"),
        pytest.param({"training": {"epochs": 0}}, ["spec.training.epochs", "found 0", "1"], id="out of range"),
        pytest.param({"model": {}}, ["spec.model.backbone", "required"], id="missing"),
        pytest.param({"task": "Clasification"}, ["spec.task", "Clasification", "Classification"], id="enum"),
    ],
)
def test_a_bad_spec_is_told_with_field_finding_and_what_is_allowed(sections: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(validate.SpecError) as caught:
        validate.parse_spec(trainingjob(**sections)["spec"])

    for word in words:
        assert word in str(caught.value)


def test_the_end_of_a_log_is_shown_as_far_as_there_is_room() -> None:
    lines = attempts.tail(tuple(f"{number} {'x' * 1000}" for number in range(50)))

    assert lines[-1].startswith("49 ")
    assert sum(map(len, lines)) <= attempts.LINES_LENGTH


def test_an_owner_reference_asks_for_no_more_rights_than_the_operator_has() -> None:
    assert "blockOwnerDeletion" not in Owner("lab", "flowers", "uid").reference()
