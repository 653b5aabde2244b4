"""From a value of the chart into the pods of a TrainingJob: rendered environment, the operator's settings, its manifests."""

from typing import Any

import pytest

from autotrain_api.trainingjob import Spec
from autotrain_operator import serving, storage, training
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings
from contract.chart import chart_version, settings
from minicluster.podsecurity import LABEL, violations

OWNER = Owner("lab", "flowers", "uid-1")
RESTRICTED = {"metadata": {"labels": {LABEL: "restricted"}}}
SMALL = {"task": "Classification", "data": {"uri": "https://example.org/f.tgz"}, "model": {"backbone": "resnet18"}}
DIGEST = "sha256:" + "a" * 64
CONTEXT = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def pods(given: Settings, **sections: Any) -> dict[str, Any]:
    """Specs of the pods that train and serve."""
    spec = Spec.model_validate(SMALL | sections)
    served = serving.Served("v1-0123456789", DIGEST)
    return {
        "trainer": training.pod(OWNER, spec, "run", given),
        "server": serving.template(OWNER, spec, served, given, together=False)["spec"],
    }


def field(pod: dict[str, Any], name: str) -> Any:
    """Of the pod, or of its container with a dot before the name."""
    (container,) = pod["containers"]
    return container.get(name[1:]) if name.startswith(".") else pod.get(name)


IN_BOTH = [
    ("--set=jobs.imagePullPolicy=Never", ".imagePullPolicy", "Never"),
    ('--set-json=imagePullSecrets=[{"name":"registry"}]', "imagePullSecrets", [{"name": "registry"}]),
    (
        "--set=jobs.fsGroup=2000",
        "securityContext",
        CONTEXT | {"fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"},
    ),
    ("--set=jobs.fsGroup=null", "securityContext", CONTEXT),
    ("--set=jobs.nodeSelector.pool=gpu", "nodeSelector", {"pool": "gpu"}),
    (
        '--set-json=jobs.tolerations=[{"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"}]',
        "tolerations",
        [TOLERATION],
    ),
]
IN_ONE = [
    ("trainer", "--set=trainer.image.tag=v7", ".image", "autotrain/trainer:v7"),
    ("trainer", f"--set=trainer.image.digest={DIGEST}", ".image", f"autotrain/trainer@{DIGEST}"),
    ("trainer", "--set=jobs.gpusPerNode=0", ".resources", {"requests": {"cpu": "1", "memory": "4Gi"}}),
    (
        "trainer",
        "--set=jobs.gpuResource=amd.com/gpu,jobs.gpusPerNode=2",
        ".resources",
        {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"amd.com/gpu": 2}},
    ),
    (
        "trainer",
        "--set=jobs.trainingResources.requests.cpu=8,jobs.gpusPerNode=0",
        ".resources",
        {"requests": {"cpu": 8, "memory": "4Gi"}},
    ),
    ("server", "--set=server.image.repository=r.example.org/s,server.image.tag=v7", ".image", "r.example.org/s:v7"),
    (
        "server",
        "--set=jobs.servingResources.limits.memory=3Gi",
        ".resources",
        {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "3Gi"}},
    ),
]


@pytest.mark.parametrize("part", ["trainer", "server"])
@pytest.mark.parametrize(("option", "name", "value"), IN_BOTH)
def test_a_value_arrives_in_all_pods_of_a_job(
    part: str, option: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    before, after = (settings(*options, monkeypatch=monkeypatch) for options in ((), (option,)))

    assert field(pods(before)[part], name) != value
    assert field(pods(after)[part], name) == value


@pytest.mark.parametrize(("part", "option", "name", "value"), IN_ONE)
def test_a_value_arrives_in_one_pod_of_a_job(
    part: str, option: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    before, after = (settings(*options, monkeypatch=monkeypatch) for options in ((), (option,)))
    other = "server" if part == "trainer" else "trainer"

    assert field(pods(before)[part], name) != value
    assert field(pods(after)[part], name) == value
    assert pods(after)[other] == pods(before)[other]


def test_the_storage_class_arrives_in_the_claim(monkeypatch: pytest.MonkeyPatch):
    before, after = (
        storage.claim(OWNER, Spec.model_validate(SMALL), settings(*options, monkeypatch=monkeypatch))["spec"]
        for options in ((), ("--set=jobs.storageClassName=fast",))
    )

    assert "storageClassName" not in before
    assert after["storageClassName"] == "fast"


OWN: list[tuple[dict[str, Any], str, Any]] = [
    ({"image": "r.example.org/own:1"}, ".image", "r.example.org/own:1"),
    ({"resources": {"requests": {"cpu": "2"}}}, ".resources", {"requests": {"cpu": "2"}}),
    ({"nodeSelector": {"disk": "fast"}}, "nodeSelector", {"disk": "fast"}),
    ({"tolerations": [{"operator": "Exists"}]}, "tolerations", [{"operator": "Exists"}]),
    ({"imagePullSecrets": [{"name": "own"}]}, "imagePullSecrets", [{"name": "registry"}, {"name": "own"}]),
    ({"affinity": {"nodeAffinity": {}}}, "affinity", {"nodeAffinity": {}}),
    ({"priorityClassName": "high"}, "priorityClassName", "high"),
    ({"runtimeClassName": "nvidia"}, "runtimeClassName", "nvidia"),
    ({"serviceAccountName": "reader"}, "serviceAccountName", "reader"),
]


@pytest.mark.parametrize("part", ["trainer", "server"])
@pytest.mark.parametrize(("section", "name", "value"), OWN)
def test_what_a_job_says_itself_wins(
    part: str, section: dict[str, Any], name: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    given = settings(
        "--set=jobs.gpusPerNode=0,jobs.nodeSelector.pool=gpu",
        '--set-json=imagePullSecrets=[{"name":"registry"}]',
        '--set-json=jobs.tolerations=[{"key":"nvidia.com/gpu","operator":"Exists"}]',
        monkeypatch=monkeypatch,
    )
    sections = {"compute" if part == "trainer" else "serving": section}

    assert field(pods(given)[part], name) != value
    assert field(pods(given, **sections)[part], name) == value


@pytest.mark.parametrize("part", ["trainer", "server"])
def test_pods_of_a_job_pass_restricted_and_hold_no_token(part: str, monkeypatch: pytest.MonkeyPatch):
    pod = pods(settings(monkeypatch=monkeypatch))[part]

    assert violations(RESTRICTED, pod) == ""
    assert field(pod, ".securityContext")["readOnlyRootFilesystem"] is True
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert field(pod, ".image").endswith(f":{chart_version()}")
