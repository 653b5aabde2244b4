"""The programs and libraries that people use: kubectl, helm and the official Python client, against the API."""

import json
from pathlib import Path

import pytest
import yaml
from kubernetes import aio, client, config, watch

from minicluster.conformance.client import eventually
from minicluster.fixtures import Cluster

pytestmark = pytest.mark.cluster

CRD = Path(__file__).parents[2] / "crds/trainingjobs.autotrain.dev.yaml"
TRAINING_JOB = {
    "apiVersion": "autotrain.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "flowers"},
    "spec": {
        "task": "Classification",
        "data": {"uri": "https://example.org/flowers.tgz"},
        "model": {"backbone": "resnet18"},
    },
}
TEMPLATES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {x: {{ .Values.x | quote }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "{{ .Release.Name }}"}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "x:{{ .Values.x }}"}]}
"""


@pytest.fixture
def served(cluster: Cluster) -> Cluster:
    """The kind TrainingJob is served."""
    cluster.kubectl("apply", "--server-side", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", "crd/trainingjobs.autotrain.dev", "--timeout=30s")
    eventually(lambda: "trainingjobs" in cluster.kubectl("api-resources", "--api-group=autotrain.dev").stdout)
    return cluster


@pytest.fixture
def chart(tmp_path: Path) -> str:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: small, version: 0.1.0}")
    (tmp_path / "values.yaml").write_text('x: "1"')
    (tmp_path / "templates/all.yaml").write_text(TEMPLATES)
    return str(tmp_path)


def test_kubectl_explains_a_custom_kind(served: Cluster) -> None:
    told = served.kubectl("explain", "atj.spec.training").stdout

    assert "epochs" in told
    assert "<integer>" in told


def test_kubectl_explains_a_built_in_kind(cluster: Cluster) -> None:
    assert "failureThreshold" in cluster.kubectl("explain", "pod.spec.containers.livenessProbe").stdout


def test_kubectl_shows_printer_columns(served: Cluster, namespace: str) -> None:
    served.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(TRAINING_JOB))

    heads, values = served.kubectl("-n", namespace, "get", "atj").stdout.splitlines()

    assert heads.split() == ["NAME", "PHASE", "PROGRESS", "METRIC", "REVISION", "READY", "AGE"]
    assert values.split()[0] == "flowers"


def test_kubectl_waits_for_a_condition_and_describes(served: Cluster, namespace: str) -> None:
    served.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", input=json.dumps(TRAINING_JOB))
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"conditions": [condition]}})

    served.kubectl("-n", namespace, "patch", "atj/flowers", "--subresource=status", "--type=merge", "-p", patch)

    served.kubectl("-n", namespace, "wait", "--for=condition=Ready", "atj/flowers", "--timeout=10s")
    assert "Serving" in served.kubectl("-n", namespace, "describe", "atj", "flowers").stdout
    served.kubectl("-n", namespace, "delete", "atj", "flowers", "--cascade=foreground", "--timeout=10s")


def test_kubectl_apply_takes_away_what_the_manifest_no_longer_has(cluster: Cluster, namespace: str) -> None:
    containers = [{"name": name, "image": "x:1"} for name in ("a", "b")]
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(body))
    containers.pop()

    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(body))

    live = json.loads(cluster.kubectl("-n", namespace, "get", "deploy", "web", "-o", "json").stdout)
    assert [entry["name"] for entry in live["spec"]["template"]["spec"]["containers"]] == ["a"]


def test_kubectl_asks_what_a_service_account_may(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "bot")
    cluster.kubectl("-n", namespace, "create", "role", "r", "--verb=get", "--resource=pods")
    cluster.kubectl("-n", namespace, "create", "rolebinding", "rb", "--role=r", f"--serviceaccount={namespace}:bot")
    bot = f"--as=system:serviceaccount:{namespace}:bot"

    assert cluster.kubectl("-n", namespace, "auth", "can-i", "get", "pods", bot).stdout == "yes\n"
    refused = cluster.kubectl("-n", namespace, "auth", "can-i", "delete", "pods", bot, check=False)
    assert (refused.returncode, refused.stdout) == (1, "no\n")


def test_helm_keeps_releases(cluster: Cluster, namespace: str, chart: str) -> None:
    def value() -> str:
        return cluster.kubectl("-n", namespace, "get", "cm", "small", "-o", "jsonpath={.data.x}").stdout

    cluster.helm("-n", namespace, "install", "small", chart)
    cluster.helm("-n", namespace, "upgrade", "small", chart, "--set", "x=2")
    upgraded = value()
    cluster.helm("-n", namespace, "rollback", "small", "1")
    history = yaml.safe_load(cluster.helm("-n", namespace, "history", "small", "-o", "yaml").stdout)
    back = value()
    cluster.helm("-n", namespace, "uninstall", "small", "--wait")

    assert (upgraded, back) == ("2", "1")
    assert [entry["status"] for entry in history] == ["superseded", "superseded", "deployed"]
    assert "small" not in cluster.kubectl("-n", namespace, "get", "deploy,cm,role", "-o", "name").stdout


def test_the_python_client_reads_writes_and_watches(cluster: Cluster, namespace: str) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="a"), data={"x": "1"})

    core.create_namespaced_config_map(namespace, body)
    core.patch_namespaced_config_map("a", namespace, {"data": {"y": "2"}})

    assert core.read_namespaced_config_map("a", namespace).data == {"x": "1", "y": "2"}
    events = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, field_selector="metadata.name=a", timeout_seconds=5
    )
    assert next(iter(events))["object"].metadata.name == "a"
    with pytest.raises(client.ApiException) as missing:
        core.read_namespaced_pod("none", namespace)
    assert missing.value.status == 404


async def test_the_asynchronous_python_client_reads_and_watches(cluster: Cluster, namespace: str) -> None:
    connection = await aio.config.new_client_from_config(str(cluster.kubeconfig))
    async with connection:
        core = aio.client.CoreV1Api(connection)
        body = aio.client.V1ConfigMap(metadata=aio.client.V1ObjectMeta(name="a"), data={"x": "1"})
        await core.create_namespaced_config_map(namespace, body)

        async with aio.watch.Watch() as stream:
            events = stream.stream(core.list_namespaced_config_map, namespace, field_selector="metadata.name=a")
            first = await anext(aiter(events))

    assert first["type"] == "ADDED"
    assert first["object"].data == {"x": "1"}
