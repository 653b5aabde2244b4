"""The four kinds of patch."""

import pytest

from minicluster.conformance.client import JSON_PATCH, MERGE, STRATEGIC, Client
from minicluster.conformance.objects import apps, deployment, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]


@pytest.fixture
def path(client: Client, namespace: str) -> str:
    """Of a widget."""
    return widgets(namespace, client.made(widgets(namespace), widget(labels={"a": "1"}))["metadata"]["name"])


def test_a_merge_patch_with_a_stale_version_conflicts(client: Client, path: str) -> None:
    version = client.get(path).body["metadata"]["resourceVersion"]
    client.patch(path, {"spec": {"size": 4}})

    assert client.patch(path, {"metadata": {"resourceVersion": version}, "spec": {"size": 5}}).code == 409


def test_a_merge_patch_with_null_takes_a_field_away(client: Client, path: str) -> None:
    assert "labels" not in client.patch(path, {"spec": {"labels": None}}).body["spec"]


def test_a_json_patch_tests_and_replaces(client: Client, path: str) -> None:
    test = {"op": "test", "path": "/spec/size", "value": 3}

    patched = client.patch(path, [test, {"op": "replace", "path": "/spec/size", "value": 6}], JSON_PATCH)
    refused = client.patch(path, [test, {"op": "replace", "path": "/spec/size", "value": 7}], JSON_PATCH)

    assert patched.body["spec"]["size"] == 6
    assert refused.code == 422


def test_a_json_patch_of_a_missing_place_is_invalid(client: Client, path: str) -> None:
    assert client.patch(path, [{"op": "remove", "path": "/spec/image"}], JSON_PATCH).code == 422


@pytest.mark.parametrize("sent", [STRATEGIC, "application/json"])
def test_custom_resources_have_no_strategic_merge(client: Client, path: str, sent: str) -> None:
    assert client.patch(path, {"spec": {"size": 6}}, sent).code == 415


def test_a_strategic_merge_knows_containers_by_name(client: Client, namespace: str) -> None:
    path = apps(
        namespace, "deployments", client.made(apps(namespace, "deployments"), deployment("web"))["metadata"]["name"]
    )
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c2", "image": "b:2"}]}}}}

    patched = client.patch(path, patch, STRATEGIC).body

    images = {entry["name"]: entry["image"] for entry in patched["spec"]["template"]["spec"]["containers"]}
    assert images == {"c1": "a:1", "c2": "b:2"}


def test_a_merge_patch_replaces_lists_as_a_whole(client: Client, namespace: str) -> None:
    client.made(apps(namespace, "deployments"), deployment("web"))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c2", "image": "b:2"}]}}}}

    patched = client.patch(apps(namespace, "deployments", "web"), patch, MERGE).body

    assert [entry["name"] for entry in patched["spec"]["template"]["spec"]["containers"]] == ["c2"]
