"""Deleting: finalizers, preconditions, and what goes along with an owner or a namespace."""

import pytest

from minicluster.conformance.client import CORE, Client, Object, eventually, unique
from minicluster.conformance.objects import config_map, core, pod, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]

HOLD = "autotrain.dev/hold"


@pytest.fixture
def owner(client: Client, namespace: str) -> Object:
    return client.made(widgets(namespace), widget("owner"))


def dependent(client: Client, namespace: str, owner: Object, **reference: bool) -> str:
    """The path of a ConfigMap that the owner owns."""
    name = unique()
    client.made(core(namespace, "configmaps"), config_map(name, owner, **reference))
    return core(namespace, "configmaps", name)


def release(client: Client, path: str) -> None:
    client.patch(path, {"metadata": {"finalizers": None}})


def test_a_finalizer_keeps_an_object_that_is_deleted(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(metadata={"finalizers": [HOLD]}))["metadata"]
    path = widgets(namespace, made["name"])

    with client.watching(widgets(namespace), resourceVersion=made["resourceVersion"]) as watch:
        client.delete(path)
        held = client.get(path).body["metadata"]
        release(client, path)

        assert held["deletionTimestamp"]
        assert held["generation"] == 2
        assert watch.types_of(made["name"], 2) == ["MODIFIED", "DELETED"]
    assert client.gone(path)


def test_no_finalizer_is_added_to_what_is_being_deleted(client: Client, namespace: str) -> None:
    path = widgets(
        namespace, client.made(widgets(namespace), widget(metadata={"finalizers": [HOLD]}))["metadata"]["name"]
    )
    client.delete(path)

    refused = client.patch(path, {"metadata": {"finalizers": [HOLD, "autotrain.dev/more"]}})

    release(client, path)
    assert refused.code == 422


def test_the_answer_to_a_deletion_names_what_was_deleted(client: Client, namespace: str, owner: Object) -> None:
    answer = client.delete(widgets(namespace, "owner"))

    assert answer.code == 200
    assert answer.body["status"] == "Success"
    assert answer.body["details"]["uid"] == owner["metadata"]["uid"]


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_a_precondition_that_does_not_hold_conflicts(client: Client, namespace: str, owner: Object, field: str) -> None:
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {field: "1"}}

    assert client.delete(widgets(namespace, "owner"), options).code == 409
    assert client.get(widgets(namespace, "owner")).code == 200


def test_a_dry_run_deletes_nothing(client: Client, namespace: str, owner: Object) -> None:
    client.delete(widgets(namespace, "owner"), dryRun="All")

    assert client.get(widgets(namespace, "owner")).body["metadata"] == owner["metadata"]


def test_a_collection_is_deleted_by_labels(client: Client, namespace: str) -> None:
    client.made(widgets(namespace), widget("a", {"labels": {"t": "1"}}))
    client.made(widgets(namespace), widget("b"))

    assert client.delete(widgets(namespace), labelSelector="t=1").code == 200
    assert client.gone(widgets(namespace, "a"))
    assert not client.gone(widgets(namespace, "b"))


def test_dependents_follow_their_owner(client: Client, namespace: str, owner: Object) -> None:
    child = dependent(client, namespace, owner, controller=True, blockOwnerDeletion=True)

    client.delete(widgets(namespace, "owner"))

    eventually(lambda: client.gone(child))


def test_orphans_stay_without_their_owner(client: Client, namespace: str, owner: Object) -> None:
    child = dependent(client, namespace, owner)

    client.delete(widgets(namespace, "owner"), propagationPolicy="Orphan")

    eventually(lambda: client.gone(widgets(namespace, "owner")))
    assert "ownerReferences" not in client.get(child).body["metadata"]


def test_in_the_foreground_an_owner_waits_for_dependents_that_block_it(
    client: Client, namespace: str, owner: Object
) -> None:
    child = dependent(client, namespace, owner, blockOwnerDeletion=True)
    client.patch(child, {"metadata": {"finalizers": [HOLD]}})

    answer = client.delete(widgets(namespace, "owner"), propagationPolicy="Foreground")

    assert answer.code == 200
    eventually(lambda: client.get(child).body["metadata"].get("deletionTimestamp"))
    waiting = client.get(widgets(namespace, "owner")).body["metadata"]
    assert waiting["finalizers"] == ["foregroundDeletion"]
    release(client, child)
    eventually(lambda: client.gone(widgets(namespace, "owner")))


def test_in_the_foreground_an_owner_does_not_wait_for_other_dependents(
    client: Client, namespace: str, owner: Object
) -> None:
    child = dependent(client, namespace, owner)
    client.patch(child, {"metadata": {"finalizers": [HOLD]}})

    client.delete(widgets(namespace, "owner"), propagationPolicy="Foreground")

    eventually(lambda: client.gone(widgets(namespace, "owner")))
    eventually(lambda: client.get(child).body["metadata"].get("deletionTimestamp"))
    release(client, child)


def test_a_dependent_of_two_owners_stays_with_the_other(client: Client, namespace: str, owner: Object) -> None:
    other = client.made(widgets(namespace), widget("other"))
    child = dependent(client, namespace, owner)
    references = [
        {
            "apiVersion": item["apiVersion"],
            "kind": "Widget",
            "name": item["metadata"]["name"],
            "uid": item["metadata"]["uid"],
        }
        for item in (owner, other)
    ]
    client.patch(child, {"metadata": {"ownerReferences": references}})

    client.delete(widgets(namespace, "owner"))

    eventually(lambda: len(client.get(child).body["metadata"]["ownerReferences"]) == 1)
    assert client.get(child).body["metadata"]["ownerReferences"][0]["name"] == "other"


def test_a_dependent_of_an_owner_that_never_was_is_collected(client: Client, namespace: str, owner: Object) -> None:
    client.delete(widgets(namespace, "owner"))
    again = client.made(widgets(namespace), widget("owner"))

    child = dependent(client, namespace, owner)

    eventually(lambda: client.gone(child))
    assert client.get(widgets(namespace, "owner")).body["metadata"]["uid"] == again["metadata"]["uid"]


def test_an_owner_reference_has_to_be_complete(client: Client, namespace: str, owner: Object) -> None:
    body = config_map("a", owner)
    del body["metadata"]["ownerReferences"][0]["uid"]

    assert client.post(core(namespace, "configmaps"), body).code == 422


def test_an_object_has_one_controller(client: Client, namespace: str, owner: Object) -> None:
    body = config_map("a", owner, controller=True)
    body["metadata"]["ownerReferences"].append({**body["metadata"]["ownerReferences"][0], "uid": "other"})

    assert client.post(core(namespace, "configmaps"), body).code == 422


def test_a_pod_that_was_never_placed_is_gone_at_once(client: Client, namespace: str) -> None:
    client.made(core(namespace, "pods"), pod("p"))

    client.delete(core(namespace, "pods", "p"))

    assert client.gone(core(namespace, "pods", "p"))


def test_a_namespace_goes_with_its_content(client: Client) -> None:
    name = unique("conformance-")
    client.made(f"{CORE}/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    client.made(core(name, "configmaps"), {**config_map("a"), "metadata": {"name": "a", "finalizers": [HOLD]}})

    client.delete(f"{CORE}/namespaces/{name}")

    eventually(lambda: client.get(core(name, "configmaps", "a")).body["metadata"].get("deletionTimestamp"))
    assert client.get(f"{CORE}/namespaces/{name}").body["status"]["phase"] == "Terminating"
    refused = client.post(core(name, "configmaps"), config_map("b"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    release(client, core(name, "configmaps", "a"))
    eventually(lambda: client.gone(f"{CORE}/namespaces/{name}"))
