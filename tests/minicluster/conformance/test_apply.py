"""Server-side apply: who owns what, conflicts, and what goes when it is no longer applied."""

from typing import Any

import pytest

from minicluster.conformance.client import APPLY, Client, Object, unique
from minicluster.conformance.objects import GROUP, apps, core, deployment, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]


@pytest.fixture
def path(namespace: str) -> str:
    return widgets(namespace, unique())


def some(path: str, **spec: Any) -> Object:
    """A part of a widget, as one of several managers applies it."""
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": path.rsplit("/", 1)[1]}, "spec": spec}


def managers(item: Object) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in item["metadata"]["managedFields"]}


def test_apply_creates_and_notes_its_manager(client: Client, path: str) -> None:
    created = client.apply(path, some(path, size=3), "m1")

    assert created.code == 201
    assert managers(created.body) == {("m1", "Apply")}


def test_apply_again_changes_nothing(client: Client, path: str) -> None:
    first = client.apply(path, some(path, size=3, tags=["a"]), "m1").body

    second = client.apply(path, some(path, size=3, tags=["a"]), "m1").body

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_apply_without_a_manager_is_refused(client: Client, path: str) -> None:
    assert client.call("PATCH", path, some(path, size=3), "application/apply-patch+yaml").code in (400, 422)


def test_another_manager_conflicts_unless_it_forces(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3), "m1")

    refused = client.apply(path, some(path, size=4), "m2")
    forced = client.apply(path, some(path, size=4), "m2", force="true")

    assert (refused.code, refused.reason) == (409, "Conflict")
    assert refused.causes == [".spec.size"]
    assert 'conflict with "m1"' in refused.message
    assert forced.body["spec"]["size"] == 4


def test_the_same_value_is_owned_by_both(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3), "m1")

    shared = client.apply(path, some(path, size=3), "m2")

    assert shared.code == 200
    assert managers(shared.body) == {("m1", "Apply"), ("m2", "Apply")}


def test_a_field_that_is_no_longer_applied_goes(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, image="x"), "m1")

    assert "image" not in client.apply(path, some(path, size=3), "m1").body["spec"]


def test_a_field_that_another_owns_stays(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, image="x"), "m1")
    client.apply(path, some(path, image="x"), "m2")

    assert client.apply(path, some(path, size=3), "m1").body["spec"]["image"] == "x"


def test_a_dropped_field_with_a_default_goes_back_to_it(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, color="blue"), "m1")

    assert client.apply(path, some(path, size=3), "m1").body["spec"]["color"] == "red"


def test_map_lists_merge_by_key(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, ports=[{"name": "a", "port": 1}]), "m1")
    both = client.apply(path, some(path, ports=[{"name": "b", "port": 2}]), "m2").body
    left = client.apply(path, some(path, size=3), "m1").body

    assert sorted(port["name"] for port in both["spec"]["ports"]) == ["a", "b"]
    assert [port["name"] for port in left["spec"]["ports"]] == ["b"]


def test_sets_merge_by_value(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, tags=["a", "b"]), "m1")
    both = client.apply(path, some(path, tags=["c"]), "m2").body
    left = client.apply(path, some(path, size=3, tags=["b"]), "m1").body

    assert sorted(both["spec"]["tags"]) == ["a", "b", "c"]
    assert sorted(left["spec"]["tags"]) == ["b", "c"]


def test_other_lists_are_owned_as_a_whole(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3, steps=["a"]), "m1")

    assert client.apply(path, some(path, steps=["b"]), "m2").code == 409


def test_an_update_takes_ownership_and_a_later_apply_conflicts(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3), "m1")
    client.patch(path, {"spec": {"size": 5}}, fieldManager="hand")

    refused = client.apply(path, some(path, size=3), "m1")

    assert refused.code == 409
    assert 'conflict with "hand"' in refused.message


def test_the_status_is_applied_through_its_subresource(client: Client, path: str) -> None:
    client.apply(path, some(path, size=3), "m1")
    status = {**some(path), "status": {"phase": "Ready"}}
    del status["spec"]

    applied = client.apply(f"{path}/status", status, "m1")

    assert applied.code == 200
    assert applied.body["status"] == {"phase": "Ready"}
    assert applied.body["spec"]["size"] == 3
    assert client.apply(path, some(path, size=4), "m1").body["status"] == {"phase": "Ready"}


def test_applying_the_status_of_nothing_is_not_found(client: Client, path: str) -> None:
    assert client.apply(f"{path}/status", {**some(path), "status": {}}, "m1").code == 404


def test_managed_fields_cannot_be_applied(client: Client, path: str) -> None:
    live = client.apply(path, some(path, size=3), "m1").body

    assert client.apply(path, live, "m1").code == 400


def test_a_deployment_keeps_replicas_that_a_scaler_owns(client: Client, namespace: str) -> None:
    path = apps(namespace, "deployments", "web")
    client.apply(path, deployment("web"), "m1")
    scaled = client.patch(f"{path}/scale", {"spec": {"replicas": 3}}, fieldManager="scaler")
    assert scaled.code == 200

    applied = client.apply(path, deployment("web", "b:2"), "m1")

    assert applied.code == 200
    assert applied.body["spec"]["replicas"] == 3


def test_apply_checks_the_schema(client: Client, path: str) -> None:
    assert client.apply(path, {**widget(), **some(path, size=0)}, "m1").code == 422


def test_yaml_is_applied_with_moments_as_texts(client: Client, namespace: str) -> None:
    body = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {at: 2026-01-01T00:00:00Z}}, data: {n: 'yes'}}"

    applied = client.send("PATCH", core(namespace, "configmaps", "a"), body, APPLY, fieldManager="m1")

    assert applied.code == 201, applied.body
    assert applied.body["metadata"]["annotations"] == {"at": "2026-01-01T00:00:00Z"}


def test_a_writer_may_state_the_owners(client: Client, path: str) -> None:
    """How what was created becomes what is applied: from then on an apply takes away what it leaves out."""
    made = client.call("POST", path.rsplit("/", 1)[0], some(path, size=3, tags=["a"]), fieldManager="m1").body
    (entry,) = made["metadata"]["managedFields"]
    owners = {
        "managedFields": [{**entry, "operation": "Apply"}],
        "resourceVersion": made["metadata"]["resourceVersion"],
    }
    stated = client.call("PATCH", path, {"metadata": owners}, "application/merge-patch+json", fieldManager="m1").body

    applied = client.apply(path, some(path, size=3), "m1").body

    assert managers(stated) == {("m1", "Apply")}
    assert "tags" not in applied["spec"]
