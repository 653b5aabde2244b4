"""Built-in kinds: what they fill in, what they refuse, what never changes."""

import base64
from typing import Any

import pytest

from minicluster.conformance.client import CORE, Client, Object, eventually
from minicluster.conformance.objects import apps, config_map, core, deployment, job, jobs, pod

pytestmark = pytest.mark.cluster


def service(name: str = "web", **spec: Any) -> Object:
    body = {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def claim(name: str = "data", **spec: Any) -> Object:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": body}


def test_a_deployment_has_one_replica_and_rolls(client: Client, namespace: str) -> None:
    spec = client.made(apps(namespace, "deployments"), deployment("web"))["spec"]

    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_the_selector_of_a_deployment_is_immutable(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))

    assert (
        client.patch(apps(namespace, "deployments", "web"), {"spec": {"selector": {"matchLabels": {"a": "z"}}}}).code
        == 422
    )


def test_a_deployment_selects_its_own_template(client: Client, namespace: str) -> None:
    body = deployment("web")
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}

    refused = client.post(apps(namespace, "deployments"), body)

    assert refused.code == 422
    assert "spec.template.metadata.labels" in refused.causes


def test_a_deployment_scales(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))

    scaled = client.patch(apps(namespace, "deployments", "web/scale"), {"spec": {"replicas": 3}})

    assert scaled.body["kind"] == "Scale"
    assert client.get(apps(namespace, "deployments", "web")).body["spec"]["replicas"] == 3


def test_the_template_of_a_job_is_immutable(client: Client, namespace: str) -> None:
    client.made(jobs(namespace), job("j"))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c1", "image": "other"}]}}}}

    assert client.patch(jobs(namespace, "j"), patch).code == 422


def test_a_job_labels_its_pods_and_selects_them(client: Client, namespace: str) -> None:
    made = client.made(jobs(namespace), job("j"))

    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == labels["job-name"] == "j"
    assert labels["batch.kubernetes.io/controller-uid"] == uid


def test_a_job_has_defaults(client: Client, namespace: str) -> None:
    spec = client.made(jobs(namespace), job("j"))["spec"]

    known = {key: spec[key] for key in ("completions", "parallelism", "backoffLimit", "completionMode", "suspend")}
    assert known == {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
    }


def test_the_pods_of_a_job_do_not_restart_always(client: Client, namespace: str) -> None:
    body = job("j")
    body["spec"]["template"]["spec"]["restartPolicy"] = "Always"

    assert client.post(jobs(namespace), body).code == 422


def test_a_pod_failure_policy_needs_pods_that_never_restart(client: Client, namespace: str) -> None:
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    body = job("j", podFailurePolicy={"rules": rules})
    body["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"

    assert client.post(jobs(namespace), body).code == 422


def test_a_job_with_a_pod_failure_policy_replaces_failed_pods_only(client: Client, namespace: str) -> None:
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    spec = client.made(jobs(namespace), job("j", podFailurePolicy={"rules": rules}))["spec"]

    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


@pytest.mark.parametrize("missing", ["name", "image"])
def test_a_container_needs_a_name_and_an_image(client: Client, namespace: str, missing: str) -> None:
    body = pod("p")
    del body["spec"]["containers"][0][missing]

    refused = client.post(core(namespace, "pods"), body)

    assert refused.code == 422
    assert f"spec.containers[0].{missing}" in refused.causes


def test_a_mount_needs_its_volume(client: Client, namespace: str) -> None:
    body = pod("p")
    body["spec"]["containers"][0]["volumeMounts"] = [{"name": "none", "mountPath": "/x"}]

    assert client.post(core(namespace, "pods"), body).code == 422


def test_a_wrong_type_in_a_built_in_kind_cannot_be_read(client: Client, namespace: str) -> None:
    body = deployment("web")
    body["spec"]["replicas"] = "three"

    assert client.post(apps(namespace, "deployments"), body).code == 400


def test_requests_do_not_exceed_limits(client: Client, namespace: str) -> None:
    body = pod("p")
    body["spec"]["containers"][0]["resources"] = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}

    assert client.post(core(namespace, "pods"), body).code == 422


def test_limits_are_requests_where_none_are_given(client: Client, namespace: str) -> None:
    body = pod("p")
    body["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1024Mi", "cpu": "1000m"}}

    resources = client.made(core(namespace, "pods"), body)["spec"]["containers"][0]["resources"]

    assert resources["requests"] == resources["limits"] == {"memory": "1Gi", "cpu": "1"}


def test_a_pod_of_an_unknown_service_account_is_forbidden(client: Client, namespace: str) -> None:
    body = pod("p")
    body["spec"]["serviceAccountName"] = "nobody"

    assert client.post(core(namespace, "pods"), body).code == 403


def test_a_pod_begins_pending_under_the_default_account(client: Client, namespace: str) -> None:
    made = client.made(core(namespace, "pods"), pod("p"))

    assert made["status"]["phase"] == "Pending"
    assert made["spec"]["serviceAccountName"] == "default"


def test_the_containers_of_a_pod_are_immutable(client: Client, namespace: str) -> None:
    client.made(core(namespace, "pods"), pod("p"))
    patch = [{"op": "add", "path": "/spec/containers/0/command", "value": ["x"]}]

    assert client.patch(core(namespace, "pods", "p"), patch, "application/json-patch+json").code == 422


def test_a_service_gets_an_address_that_stays(client: Client, namespace: str) -> None:
    address = client.made(core(namespace, "services"), service())["spec"]["clusterIP"]

    patched = client.patch(core(namespace, "services", "web"), {"spec": {"selector": {"c": "d"}}}).body["spec"]

    assert address
    assert patched["clusterIP"] == address
    assert client.patch(core(namespace, "services", "web"), {"spec": {"clusterIP": "127.2.9.9"}}).code == 422


def test_the_ports_of_a_service_have_defaults(client: Client, namespace: str) -> None:
    port = client.made(core(namespace, "services"), service())["spec"]["ports"][0]

    assert (port["protocol"], port["targetPort"]) == ("TCP", 80)


def test_several_ports_of_a_service_need_names(client: Client, namespace: str) -> None:
    assert client.post(core(namespace, "services"), service(ports=[{"port": 80}, {"port": 81}])).code == 422


def test_a_service_is_named_like_a_label(client: Client, namespace: str) -> None:
    assert client.post(core(namespace, "services"), service("web.one")).code == 422


def test_the_text_of_a_secret_becomes_data(client: Client, namespace: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}

    made = client.made(core(namespace, "secrets"), body)

    assert made["data"] == {"a": base64.b64encode(b"b").decode()}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_an_immutable_config_map_stays_as_it_is(client: Client, namespace: str) -> None:
    client.made(core(namespace, "configmaps"), {**config_map("c"), "immutable": True, "data": {"a": "1"}})

    assert client.patch(core(namespace, "configmaps", "c"), {"data": {"a": "2"}}).code == 422
    assert client.patch(core(namespace, "configmaps", "c"), {"metadata": {"labels": {"a": "b"}}}).code == 200


@pytest.mark.parametrize("spec", [{"accessModes": []}, {"resources": {}}])
def test_a_claim_says_how_and_how_much(client: Client, namespace: str, spec: Object) -> None:
    assert client.post(core(namespace, "persistentvolumeclaims"), claim(**spec)).code == 422


def test_the_access_of_a_claim_is_immutable(client: Client, namespace: str) -> None:
    made = client.made(core(namespace, "persistentvolumeclaims"), claim())

    assert made["spec"]["resources"]["requests"]["storage"] == "1Gi"
    patch = {"spec": {"accessModes": ["ReadWriteMany"]}}
    assert client.patch(core(namespace, "persistentvolumeclaims", "data"), patch).code == 422


def test_events_can_be_written_in_both_forms(client: Client, namespace: str) -> None:
    about = {"kind": "Widget", "name": "x", "namespace": namespace, "uid": "u"}
    old = {"apiVersion": "v1", "kind": "Event", "metadata": {"generateName": "e-"}, "involvedObject": about}
    new = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "e-"},
        "regarding": about,
        "reason": "New",
        "note": "m",
        "type": "Normal",
        "action": "Test",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "autotrain.dev/test",
        "reportingInstance": "one",
    }

    client.made(core(namespace, "events"), {**old, "reason": "Old", "message": "m", "type": "Normal"})
    client.made(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", new)

    told = {item["reason"]: item["message"] for item in client.get(core(namespace, "events")).body["items"]}
    assert told == {"Old": "m", "New": "m"}


def test_a_lease_is_updated_by_whoever_saw_it_last(client: Client, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": spec}
    lease = client.made(path, body)
    lease["spec"]["holderIdentity"] = "b"

    assert client.put(f"{path}/l", lease).code == 200
    assert client.put(f"{path}/l", lease).code == 409


def test_a_disruption_budget_says_one_thing(client: Client, namespace: str) -> None:
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}

    assert client.post(path, body).code == 422


def test_an_eviction_respects_the_disruption_budget(client: Client, namespace: str) -> None:
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": namespace}}
    client.made(core(namespace, "pods"), pod("p", a="b"))
    serving = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    client.patch(core(namespace, "pods", "p/status"), {"status": serving})
    client.made(
        path, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec}
    )
    eventually(lambda: client.get(f"{path}/b").body.get("status", {}).get("currentHealthy") == 1)

    refused = client.post(core(namespace, "pods", "p/eviction"), eviction)
    client.delete(f"{path}/b")
    allowed = client.post(core(namespace, "pods", "p/eviction"), eviction)

    assert refused.code == 429
    assert refused.body["details"]["causes"][0]["reason"] == "DisruptionBudget"
    assert allowed.code == 201


def test_a_namespace_is_labelled_with_its_name(client: Client, namespace: str) -> None:
    metadata = client.get(f"{CORE}/namespaces/{namespace}").body["metadata"]

    assert metadata["labels"]["kubernetes.io/metadata.name"] == namespace


def test_the_log_of_a_pod_that_was_never_placed_is_empty(client: Client, namespace: str) -> None:
    client.made(core(namespace, "pods"), pod("p"))

    answer = client.get(core(namespace, "pods", "p/log"))

    assert (answer.code, answer.body) == (204, {"text": ""})


def test_a_log_is_asked_for_by_a_container_of_the_pod(client: Client, namespace: str) -> None:
    client.made(core(namespace, "pods"), pod("p"))

    assert client.get(core(namespace, "pods", "p/log"), container="other").code == 400


RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def restricted(client: Client, namespace: str) -> str:
    """A namespace that lets in restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch(f"{CORE}/namespaces/{namespace}", {"metadata": {"labels": labels}})
    return namespace


def test_a_restricted_namespace_takes_restricted_pods(client: Client, restricted: str) -> None:
    body = pod("p")
    body["spec"]["containers"][0]["securityContext"] = RESTRICTED

    assert client.post(core(restricted, "pods"), body).code == 201


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ("allowPrivilegeEscalation", "allowPrivilegeEscalation != false"),
        ("capabilities", "unrestricted capabilities"),
        ("runAsNonRoot", "runAsNonRoot != true"),
        ("seccompProfile", "seccompProfile"),
    ],
)
def test_a_restricted_namespace_refuses_other_pods(client: Client, restricted: str, field: str, word: str) -> None:
    body = pod("p")
    context = {key: value for key, value in RESTRICTED.items() if key != field}
    body["spec"]["containers"][0]["securityContext"] = context

    refused = client.post(core(restricted, "pods"), body)

    assert refused.code == 403
    assert 'violates PodSecurity "restricted:latest"' in refused.message
    assert word in refused.message


def test_a_restricted_namespace_refuses_host_paths(client: Client, restricted: str) -> None:
    body = pod("p")
    body["spec"]["containers"][0]["securityContext"] = RESTRICTED
    body["spec"]["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}]

    assert client.post(core(restricted, "pods"), body).code == 403
