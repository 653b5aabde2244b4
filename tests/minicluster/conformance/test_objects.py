"""Creating, reading and updating objects: names, identity, resourceVersion and generation."""

import copy

import pytest

from minicluster.conformance.client import Client, unique
from minicluster.conformance.objects import config_map, core, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]


def test_a_created_object_has_an_identity(client: Client, namespace: str) -> None:
    metadata = client.made(widgets(namespace), widget())["metadata"]

    assert all(metadata[field] for field in ("uid", "resourceVersion", "creationTimestamp"))
    assert metadata["namespace"] == namespace
    assert metadata["generation"] == 1


def test_generate_name_appends_to_the_prefix(client: Client, namespace: str) -> None:
    body = widget()
    body["metadata"] = {"generateName": "gen-"}

    name = client.made(widgets(namespace), body)["metadata"]["name"]

    assert name.startswith("gen-")
    assert len(name) > len("gen-")


def test_a_second_object_of_the_same_name_already_exists(client: Client, namespace: str) -> None:
    body = widget()
    client.made(widgets(namespace), body)

    again = client.post(widgets(namespace), body)

    assert (again.code, again.reason) == (409, "AlreadyExists")


def test_a_missing_object_is_not_found(client: Client, namespace: str) -> None:
    missing = client.get(widgets(namespace, "nope"))

    assert (missing.code, missing.reason) == (404, "NotFound")


def test_nothing_is_created_in_a_namespace_that_is_not_there(client: Client) -> None:
    assert client.post(core(unique("absent-"), "configmaps"), config_map("a")).code == 404


def test_the_namespace_of_the_body_has_to_be_that_of_the_path(client: Client, namespace: str) -> None:
    assert (
        client.post(
            core("default", "configmaps"), {**config_map("a"), "metadata": {"name": "a", "namespace": namespace}}
        ).code
        == 400
    )


@pytest.mark.parametrize("name", ["Bad_Name", "-a", "a" * 254])
def test_an_impossible_name_is_invalid(client: Client, namespace: str, name: str) -> None:
    refused = client.post(widgets(namespace), widget(name))

    assert (refused.code, refused.reason) == (422, "Invalid")


@pytest.mark.parametrize("labels", [{"a b": "x"}, {"a": "x y"}, {"a": "x" * 64}])
def test_an_impossible_label_is_invalid(client: Client, namespace: str, labels: dict[str, str]) -> None:
    assert client.post(widgets(namespace), widget(metadata={"labels": labels})).code == 422


def test_create_ignores_status(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), {**widget(), "status": {"phase": "X"}})

    assert not made.get("status")


def test_a_patch_of_the_object_leaves_its_status_alone(client: Client, namespace: str) -> None:
    path = widgets(namespace, client.made(widgets(namespace), widget())["metadata"]["name"])

    assert not client.patch(path, {"status": {"phase": "Y"}}).body.get("status")


def test_a_patch_of_the_status_leaves_the_rest_alone(client: Client, namespace: str) -> None:
    path = widgets(namespace, client.made(widgets(namespace), widget())["metadata"]["name"])
    patch = {"status": {"phase": "Z"}, "spec": {"size": 7}, "metadata": {"labels": {"a": "b"}}}

    patched = client.patch(f"{path}/status", patch).body

    assert patched["status"] == {"phase": "Z"}
    assert patched["spec"]["size"] == 3
    assert "labels" not in patched["metadata"]


def test_generation_counts_changes_of_the_spec_only(client: Client, namespace: str) -> None:
    path = widgets(namespace, client.made(widgets(namespace), widget())["metadata"]["name"])

    labelled = client.patch(path, {"metadata": {"labels": {"a": "b"}}}).body
    told = client.patch(f"{path}/status", {"status": {"phase": "Z"}}).body
    changed = client.patch(path, {"spec": {"size": 5}}).body

    assert [item["metadata"]["generation"] for item in (labelled, told, changed)] == [1, 1, 2]


def test_a_patch_that_changes_nothing_writes_nothing(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())
    path = widgets(namespace, made["metadata"]["name"])

    same = client.patch(path, {"spec": {"size": 3}}).body
    other = client.patch(path, {"spec": {"size": 4}}).body

    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert other["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]


def test_an_update_from_a_stale_object_conflicts(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())
    path = widgets(namespace, made["metadata"]["name"])
    stale = copy.deepcopy(made)
    made["spec"]["size"], stale["spec"]["size"] = 4, 5

    first, second = client.put(path, made), client.put(path, stale)

    assert first.code == 200
    assert (second.code, second.reason) == (409, "Conflict")


def test_an_update_of_a_custom_resource_needs_a_resource_version(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())
    del made["metadata"]["resourceVersion"]

    assert client.put(widgets(namespace, made["metadata"]["name"]), made).code == 422


def test_an_update_of_another_uid_conflicts(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())
    path = widgets(namespace, made["metadata"]["name"])

    assert client.patch(path, {"metadata": {"uid": "other"}, "spec": {"size": 4}}).code in (409, 422)


def test_creation_time_cannot_be_changed(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())
    path = widgets(namespace, made["metadata"]["name"])

    client.patch(path, {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}})

    assert client.get(path).body["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


def test_a_dry_run_is_not_stored(client: Client, namespace: str) -> None:
    body = widget()

    assert client.post(widgets(namespace), body, dryRun="All").code == 201
    assert client.gone(widgets(namespace, body["metadata"]["name"]))


def test_strict_field_validation_refuses_unknown_fields(client: Client, namespace: str) -> None:
    refused = client.post(widgets(namespace), widget(bogus=1), fieldValidation="Strict")

    assert refused.code == 400
    assert 'unknown field "spec.bogus"' in refused.message


def test_field_validation_warns_by_default(client: Client, namespace: str) -> None:
    made = client.post(widgets(namespace), widget(bogus=1), fieldValidation="Warn")

    assert made.code == 201
    assert "spec.bogus" in made.headers["Warning"]
