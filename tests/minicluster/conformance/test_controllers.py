"""What controllers make of Deployments and Jobs; the pods are never placed, so that no image is needed."""

import pytest

from minicluster.conformance.client import Client, Object, eventually
from minicluster.conformance.objects import apps, core, deployment, job, jobs

pytestmark = pytest.mark.cluster


def items(client: Client, path: str) -> list[Object]:
    found: list[Object] = client.get(path).body["items"]
    return found


def test_a_deployment_makes_a_replica_set_that_makes_pods(client: Client, namespace: str) -> None:
    made = client.made(apps(namespace, "deployments"), deployment("web"))

    pods = eventually(lambda: items(client, core(namespace, "pods")))

    sets = items(client, apps(namespace, "replicasets"))
    owner = sets[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Deployment", made["metadata"]["uid"], True)
    assert owner["blockOwnerDeletion"] is True
    hashed = sets[0]["metadata"]["labels"]["pod-template-hash"]
    assert sets[0]["metadata"]["name"] == f"web-{hashed}"
    assert sets[0]["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hashed}
    assert pods[0]["metadata"]["ownerReferences"][0]["uid"] == sets[0]["metadata"]["uid"]
    assert pods[0]["metadata"]["labels"]["pod-template-hash"] == hashed


def test_a_deployment_tells_which_generation_it_saw(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))
    path = apps(namespace, "deployments", "web")
    client.patch(path, {"spec": {"replicas": 2}})

    status = eventually(lambda: _settled(client.get(path).body, 2))

    assert status["unavailableReplicas"] == 2
    assert {entry["type"]: entry["status"] for entry in status["conditions"]} == {
        "Available": "False",
        "Progressing": "True",
    }


def _settled(item: Object, replicas: int) -> Object | None:
    status: Object = item.get("status") or {}
    seen = status.get("observedGeneration") == item["metadata"]["generation"]
    return status if seen and status.get("replicas") == replicas else None


def test_another_template_makes_another_replica_set(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))
    eventually(lambda: items(client, apps(namespace, "replicasets")))

    patch = {"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}}
    client.patch(apps(namespace, "deployments", "web"), patch)

    sets = eventually(lambda: len(found := items(client, apps(namespace, "replicasets"))) == 2 and found)
    revisions = {entry["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for entry in sets}
    assert revisions == {"1", "2"}


def test_a_deleted_deployment_leaves_nothing(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))
    eventually(lambda: items(client, core(namespace, "pods")))

    client.delete(apps(namespace, "deployments", "web"))

    eventually(lambda: not items(client, apps(namespace, "replicasets")) and not items(client, core(namespace, "pods")))


def test_a_job_makes_a_pod_of_its_own(client: Client, namespace: str) -> None:
    made = client.made(jobs(namespace), job("j"))

    pod = eventually(lambda: items(client, core(namespace, "pods")))[0]

    assert pod["metadata"]["name"].startswith("j-")
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "j"
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Job", made["metadata"]["uid"], True)
    eventually(lambda: client.get(jobs(namespace, "j")).body["status"].get("active") == 1)


def test_a_suspended_job_waits(client: Client, namespace: str) -> None:
    client.made(jobs(namespace), job("j", suspend=True))
    eventually(lambda: _condition(client, namespace, "Suspended") == "True")
    assert items(client, core(namespace, "pods")) == []

    client.patch(jobs(namespace, "j"), {"spec": {"suspend": False}})

    eventually(lambda: items(client, core(namespace, "pods")))


def _condition(client: Client, namespace: str, name: str) -> str:
    conditions = (client.get(jobs(namespace, "j")).body.get("status") or {}).get("conditions") or ()
    return next((str(entry["status"]) for entry in conditions if entry["type"] == name), "")


def test_an_indexed_job_names_its_pods_by_index(client: Client, namespace: str) -> None:
    client.made(jobs(namespace), job("j", completionMode="Indexed", completions=2, parallelism=2))

    pods = eventually(lambda: len(found := items(client, core(namespace, "pods"))) == 2 and found)

    indexes = {pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods}
    assert indexes == {"0", "1"}
    assert all(pod["spec"]["hostname"] in ("j-0", "j-1") for pod in pods)


def test_a_job_deleted_in_the_foreground_goes_after_its_pods(client: Client, namespace: str) -> None:
    client.made(jobs(namespace), job("j"))
    eventually(lambda: items(client, core(namespace, "pods")))

    client.delete(jobs(namespace, "j"), propagationPolicy="Foreground")

    eventually(lambda: client.gone(jobs(namespace, "j")))
    assert items(client, core(namespace, "pods")) == []


def test_a_service_without_pods_has_no_addresses(client: Client, namespace: str) -> None:
    spec = {"ports": [{"port": 80}], "selector": {"app": "none"}}
    client.made(
        core(namespace, "services"), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    )
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    slices = eventually(lambda: items(client, path))

    assert slices[0]["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert not slices[0].get("endpoints")
