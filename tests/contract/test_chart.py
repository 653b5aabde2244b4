"""The chart against the code: settings, images, security, CRD. Rendered by the real helm."""

import runpy
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from autotrain_api.trainingjob import TrainingJob
from autotrain_operator.settings import Settings
from contract.chart import (
    CHART,
    ROOT,
    chart_version,
    environment,
    hook_of_test,
    only,
    operator_pod,
    render,
    render_test,
    run_helm,
    settings,
)

CONTAINER_ENV = {"USER", "HOME"}
"""What the container gets that is no setting of ours."""


def test_helm_finds_no_fault():
    run_helm("lint", "--strict", str(CHART))


# --- settings


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_a_variable(field: str):
    assert f"AUTOTRAIN_{field.upper()}" in environment()


def test_every_variable_is_a_setting():
    known = {f"AUTOTRAIN_{field.upper()}" for field in Settings.model_fields}

    assert environment().keys() - CONTAINER_ENV == known


def test_settings_without_values_are_the_operator_s_defaults(monkeypatch: pytest.MonkeyPatch):
    found = settings(monkeypatch=monkeypatch)

    given_by_chart = {"trainer_image", "server_image", "host", "fs_group", "training_resources", "serving_resources"}
    different = {name for name, field in Settings.model_fields.items() if getattr(found, name) != field.default}
    assert different == given_by_chart


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("--set=jobs.gpusPerNode=2", "gpus_per_node", 2),
        ("--set=jobs.gpuResource=amd.com/gpu", "gpu_resource", "amd.com/gpu"),
        ("--set=jobs.storageClassName=fast", "storage_class_name", "fast"),
        ("--set=jobs.fsGroup=null", "fs_group", None),
        ("--set=jobs.fsGroup=1000680000", "fs_group", 1_000_680_000),
        ("--set=jobs.imagePullPolicy=Always", "image_pull_policy", "Always"),
        ("--set=jobs.trainingResources.requests=null", "training_resources", {}),
        ('--set-json=jobs.servingResources={"requests":null}', "serving_resources", {"limits": {"memory": "2Gi"}}),
        ("--set=jobs.nodeSelector.pool=gpu", "node_selector", {"pool": "gpu"}),
        ('--set-json=jobs.tolerations=[{"operator":"Exists"}]', "tolerations", [{"operator": "Exists"}]),
        ('--set-json=imagePullSecrets=[{"name":"a"},{"name":"b"}]', "image_pull_secrets", ["a", "b"]),
        ("--set=watchNamespaces={lab,shop}", "watched", ["lab", "shop"]),
        ("--set=resyncSeconds=30", "resync_seconds", 30),
        ("--set=workers=2", "workers", 2),
        ("--set=port=9090", "port", 9090),
        ("--set=log.level=DEBUG", "log_level", "DEBUG"),
        ("--set=log.format=text", "log_format", "text"),
        ("--set=trainer.image.tag=v7", "trainer_image", "autotrain/trainer:v7"),
        ("--set=server.image.repository=r.example.org:5000/s", "server_image", "r.example.org:5000/s:VERSION"),
    ],
)
def test_a_value_arrives(option: str, field: str, value: object, monkeypatch: pytest.MonkeyPatch):
    found = getattr(settings(option, monkeypatch=monkeypatch), field)

    assert found == (value.replace("VERSION", chart_version()) if isinstance(value, str) else value)


# --- images


def test_images_default_to_the_version_of_the_chart():
    version = chart_version()

    images = environment() | {"OPERATOR": operator_pod()["containers"][0]["image"]}
    assert images["OPERATOR"] == f"autotrain/operator:{version}"
    assert images["AUTOTRAIN_TRAINER_IMAGE"] == f"autotrain/trainer:{version}"
    assert images["AUTOTRAIN_SERVER_IMAGE"] == f"autotrain/server:{version}"


def test_one_prefix_moves_all_images():
    prefix = "--set=imagePrefix=r.example.org:5000/team"

    images = environment(prefix) | {"OPERATOR": operator_pod(prefix)["containers"][0]["image"]}
    assert images["OPERATOR"] == f"r.example.org:5000/team/operator:{chart_version()}"
    assert images["AUTOTRAIN_TRAINER_IMAGE"] == f"r.example.org:5000/team/trainer:{chart_version()}"
    assert images["AUTOTRAIN_SERVER_IMAGE"] == f"r.example.org:5000/team/server:{chart_version()}"


def test_a_digest_wins_over_a_tag():
    digest = "sha256:" + "a" * 64

    pod = operator_pod("--set=image.tag=v1", f"--set=image.digest={digest}", "--set=image.repository=example.org/o")

    assert pod["containers"][0]["image"] == f"example.org/o@{digest}"


def test_the_version_is_the_one_of_the_distributions():
    for part in ("crds", "operator", "trainer_image", "server_image"):
        assert f'version = "{chart_version()}"' in (ROOT / part / "pyproject.toml").read_text()


# --- the operator's pod


def test_the_pod_passes_pod_security_restricted():
    pod = operator_pod()
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_what_the_pod_writes_to_is_an_empty_folder():
    pod = operator_pod()

    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert environment()["HOME"] == "/tmp"


def test_there_is_never_more_than_one_operator():
    spec = only("Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_probes_ask_healthz_on_the_port_of_the_setting():
    (container,) = operator_pod("--set=port=9090")["containers"]

    assert container["ports"] == [{"name": "http", "containerPort": 9090}]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_the_pod_runs_as_the_account_that_has_the_rights():
    account = only("ServiceAccount")["metadata"]
    (subject,) = only("ClusterRoleBinding")["subjects"]

    assert operator_pod()["serviceAccountName"] == account["name"] == subject["name"]
    assert account["namespace"] == subject["namespace"] == "autotrain-system"


def test_pod_labels_cannot_hide_the_selector():
    deployment = only("Deployment", "--set=podLabels.team=vision")["spec"]

    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "vision"


POD_VALUES = [
    ("--set=nodeSelector.disk=fast", "nodeSelector", {"disk": "fast"}),
    ('--set-json=tolerations=[{"key":"a","operator":"Exists"}]', "tolerations", [{"key": "a", "operator": "Exists"}]),
    ('--set-json=affinity={"nodeAffinity":{}}', "affinity", {"nodeAffinity": {}}),
    ("--set=priorityClassName=high", "priorityClassName", "high"),
    ('--set-json=imagePullSecrets=[{"name":"registry"}]', "imagePullSecrets", [{"name": "registry"}]),
    ("--set=serviceAccount.name=mine", "serviceAccountName", "mine"),
    ("--set=terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds", 5),
    ("--set=serviceAccount.create=false", "serviceAccountName", "default"),
    (
        '--set-json=podSecurityContext={"runAsUser":7,"runAsNonRoot":null,"seccompProfile":null}',
        "securityContext",
        {"runAsUser": 7},
    ),
]
CONTAINER_VALUES = [
    ("--set=image.pullPolicy=Never", "imagePullPolicy", "Never"),
    (
        '--set-json=resources={"requests":{"cpu":"1"},"limits":null}',
        "resources",
        {"requests": {"cpu": "1", "memory": "128Mi"}},
    ),
    (
        "--set=securityContext.runAsUser=7",
        "securityContext",
        {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsUser": 7,
        },
    ),
]


@pytest.mark.parametrize(("option", "field", "value"), POD_VALUES)
def test_a_value_of_the_pod_arrives(option: str, field: str, value: object):
    assert operator_pod(option)[field] == value
    assert operator_pod().get(field) != value


@pytest.mark.parametrize(("option", "field", "value"), CONTAINER_VALUES)
def test_a_value_of_the_container_arrives(option: str, field: str, value: object):
    assert operator_pod(option)["containers"][0][field] == value
    assert operator_pod()["containers"][0].get(field) != value


def test_annotations_and_names_arrive():
    template = only("Deployment", "--set=podAnnotations.team=vision")["spec"]["template"]["metadata"]
    account = only("ServiceAccount", "--set=serviceAccount.annotations.role=a")["metadata"]
    renamed = {document["metadata"]["name"] for document in render("--set=fullnameOverride=at,userRoles=false")}

    assert template["annotations"] == {"team": "vision"}
    assert account["annotations"] == {"role": "a"}
    assert renamed == {"at", "autotrain-system:at", "trainingjobs.autotrain.dev"}


def test_common_labels_are_on_everything_and_cannot_hide_the_selector():
    options = '--set-json=commonLabels={"team":"vision","app.kubernetes.io/name":"other"}'
    deployment = only("Deployment", options)["spec"]
    labelled = [found for found in [*render(options), *render_test(options)] if "labels" in found["metadata"]]

    assert {found["metadata"]["labels"]["team"] for found in labelled} == {"vision"}
    assert {found["kind"] for found in render(options) if found not in labelled} == {"CustomResourceDefinition"}
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


def test_an_old_kubernetes_is_refused_by_name():
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render("--kube-version=1.29.3")

    assert "requires kubeVersion: >=1.30-0 which is incompatible with Kubernetes v1.29.3" in refused.value.stderr


# --- several releases


def cluster_scoped(*options: str) -> set[tuple[str, str]]:
    kinds = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")
    return {(found["kind"], found["metadata"]["name"]) for found in render(*options) if found["kind"] in kinds}


def test_releases_of_one_name_in_two_namespaces_share_nothing():
    other = ("--namespace=other", "--set=crds.install=false")

    assert cluster_scoped(*other)
    assert not cluster_scoped(*other) & cluster_scoped()


def test_without_rights_on_the_cluster_nothing_of_the_cluster_is_asked_for():
    lab = "--set=watchNamespaces={lab},crds.install=false,userRoles=false"
    kinds = {found["kind"] for found in render(lab)}
    without_rights = {found["kind"] for found in render(f"{lab},rbac.create=false")}

    assert kinds == {"ServiceAccount", "Role", "RoleBinding", "Deployment"}
    assert without_rights == {"ServiceAccount", "Deployment"}


# --- names that look like numbers

TEXTS = {"name", "namespace", "serviceAccountName", "priorityClassName", "app.kubernetes.io/instance", "value"}


def texts(part: Any) -> Iterator[Any]:
    """Everything that has to be text."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key in TEXTS and not isinstance(value, dict))
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from texts(below)


@pytest.mark.parametrize("watched", ["[]", '["1e3", "123", "0x7"]'])
def test_names_that_look_like_numbers_stay_names(watched: str):
    names = "--set-string=priorityClassName=5,serviceAccount.name=77,fullnameOverride=true"
    options = ("--namespace=123", "--set=crds.install=false", names, f"--set-json=watchNamespaces={watched}")

    found = list(texts([*render(*options), *render_test(*options)]))
    assert [value for value in found if not isinstance(value, str)] == []
    assert {"123", "5", "77", "true"} <= set(found)


def test_no_list_of_namespaces_is_all_of_them():
    without = "--set=watchNamespaces=null"

    assert [*render(without), *render_test(without)] == [*render(), *render_test()]


# --- helm test


def test_helm_test_runs_the_trainer_s_image_as_restricted():
    (pod,) = [
        found["spec"]
        for found in render_test("--set=imagePrefix=r/t,jobs.imagePullPolicy=Never")
        if found["kind"] == "Pod"
    ]
    (container,) = pod["containers"]

    assert container["image"] == f"r/t/trainer:{chart_version()}"
    assert container["imagePullPolicy"] == "Never"
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert (
        container["securityContext"]
        == only("Deployment")["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    )


@pytest.mark.parametrize(
    ("watched", "namespace"),
    [("{}", "autotrain-system"), ("{lab,shop}", "lab"), ("{lab,autotrain-system}", "autotrain-system")],
)
def test_helm_test_works_where_the_operator_watches(watched: str, namespace: str):
    found = {
        document["kind"]: document
        for document in render_test(f"--set=watchNamespaces={watched}" if watched != "{}" else "--set=workers=8")
    }
    (container,) = found["Pod"]["spec"]["containers"]

    assert {found[kind]["metadata"]["namespace"] for kind in ("Role", "RoleBinding")} == {namespace}
    assert {"name": "NAMESPACE", "value": namespace} in container["env"]
    for kind in ("Pod", "ConfigMap", "ServiceAccount"):  # `helm test --logs` looks in the release's namespace
        assert found[kind]["metadata"]["namespace"] == "autotrain-system"
    assert found["RoleBinding"]["subjects"][0]["namespace"] == "autotrain-system"


def test_helm_test_gives_up_in_time():
    (pod,) = [found["spec"] for found in render_test("--set=test.timeoutSeconds=90") if found["kind"] == "Pod"]

    assert pod["activeDeadlineSeconds"] == 150
    assert {"name": "TIMEOUT_SECONDS", "value": "90"} in pod["containers"][0]["env"]


def test_helm_prints_the_log_of_helm_test_once_and_leaves_nothing_behind():
    hook = hook_of_test()

    assert hook["metadata"]["name"] in {found["metadata"]["name"] for found in hook["items"] if found["kind"] == "Pod"}
    assert hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_helm_test_may_act_on_training_jobs_only():
    (role,) = [found for found in render_test() if found["kind"] == "Role"]

    assert role["rules"] == [
        {"apiGroups": ["autotrain.dev"], "resources": ["trainingjobs"], "verbs": ["get", "create", "delete"]}
    ]


def test_helm_test_s_job_is_one_that_the_types_accept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAME", "autotrain-test")
    monkeypatch.setenv("NAMESPACE", "lab")
    script = runpy.run_path(str(CHART / "files/helm_test.py"))

    assert (
        TrainingJob.model_validate(script["training_job"]("http://10.0.0.1:1/a.tgz")).metadata.name == "autotrain-test"
    )


# --- the CRD


def test_the_chart_s_copy_of_the_crd_is_up_to_date():
    name = "trainingjobs.autotrain.dev.yaml"

    assert (CHART / "files" / name).read_text() == (ROOT / "crds" / name).read_text(), "run `make sync`"


def test_the_crd_is_installed_and_kept():
    crd = only("CustomResourceDefinition")
    original = yaml.safe_load((ROOT / "crds/trainingjobs.autotrain.dev.yaml").read_text())

    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == original


def test_the_crd_can_be_left_to_somebody_else():
    assert "CustomResourceDefinition" not in {document["kind"] for document in render("--set=crds.install=false")}
