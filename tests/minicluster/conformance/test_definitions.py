"""CustomResourceDefinitions: accepted, served, refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from minicluster.conformance.client import Client, Object, eventually, unique
from minicluster.conformance.conftest import remove_definition
from minicluster.conformance.objects import DEFINITIONS, GROUP, definition, widget, widgets

pytestmark = pytest.mark.cluster


@pytest.fixture
def plural(client: Client) -> Iterator[str]:
    """A kind's name for one test."""
    name = unique("gadgets")
    yield name
    remove_definition(client, f"{name}.{GROUP}")


def defining(plural: str, **names: Any) -> Object:
    return definition(plural, plural.capitalize(), short(plural), **names)


def short(plural: str) -> str:
    """A short name begins with a letter, too."""
    return f"g{plural[-6:]}"


def conditions(client: Client, plural: str) -> dict[str, str]:
    status = client.get(f"{DEFINITIONS}/{plural}.{GROUP}").body.get("status", {})
    return {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}


def test_a_definition_is_established_after_it_was_created(client: Client, plural: str) -> None:
    created = client.post(DEFINITIONS, defining(plural))

    assert created.code == 201
    eventually(lambda: conditions(client, plural).get("Established") == "True")
    assert conditions(client, plural)["NamesAccepted"] == "True"


@pytest.mark.usefixtures("defined")
def test_discovery_serves_the_new_kind(client: Client) -> None:
    found = eventually(
        lambda: {entry["name"]: entry for entry in client.get(f"/apis/{GROUP}/v1").body.get("resources", [])}
    )

    assert found["widgets"]["kind"] == "Widget"
    assert found["widgets"]["namespaced"] is True
    assert found["widgets"]["shortNames"] == ["wd"]
    assert {"widgets/status", "widgets/scale"} <= set(found)


def test_deleting_a_definition_deletes_its_objects(client: Client, plural: str, namespace: str) -> None:
    client.made(DEFINITIONS, defining(plural))
    eventually(lambda: client.get(f"/apis/{GROUP}/v1/{plural}").code == 200)
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/{plural}"
    body = {"apiVersion": f"{GROUP}/v1", "kind": plural.capitalize(), "metadata": {"name": "one"}, "spec": {"size": 1}}
    eventually(lambda: client.post(path, body).code in (201, 409))

    client.delete(f"{DEFINITIONS}/{plural}.{GROUP}")

    eventually(lambda: client.gone(f"{DEFINITIONS}/{plural}.{GROUP}"))
    assert client.get(path).code == 404


def test_a_changed_schema_judges_the_next_object(client: Client, plural: str, namespace: str) -> None:
    client.made(DEFINITIONS, defining(plural))
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/{plural}"
    body = {"apiVersion": f"{GROUP}/v1", "kind": plural.capitalize(), "metadata": {"name": "one"}, "spec": {"size": 11}}
    eventually(lambda: client.post(path, body).code == 422)

    limit = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum"
    patch = [{"op": "replace", "path": limit, "value": 20}]
    client.patch(f"{DEFINITIONS}/{plural}.{GROUP}", patch, "application/json-patch+json")

    eventually(lambda: client.post(path, body).code == 201)


BAD_SPECS: dict[str, tuple[Object, str]] = {
    "a field without a type": ({"type": "object", "properties": {"a": {"description": "x"}}}, "type"),
    "an array without items": ({"type": "object", "properties": {"a": {"type": "array"}}}, "items"),
    "unique items": (
        {
            "type": "object",
            "properties": {"a": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}},
        },
        "uniqueItems",
    ),
    "additionalProperties beside properties": (
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        "additionalProperties",
    ),
    "a default of the wrong type": (
        {"type": "object", "properties": {"a": {"type": "integer", "default": "x"}}},
        "default",
    ),
    "a default out of range": (
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "default": 1}}},
        "default",
    ),
    "a default with an unknown field": (
        {"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}, "properties": {}}}},
        "default",
    ),
    "a default without a required field that has a default": (
        {
            "type": "object",
            "default": {},
            "required": ["a"],
            "properties": {"a": {"type": "integer", "default": 1}},
        },
        "default.a",
    ),
    "a default that lacks what its rule reads": (
        {
            "type": "object",
            "default": {},
            "properties": {"a": {"type": "integer", "default": 1}},
            "x-kubernetes-validations": [{"rule": "self.a == 1"}],
        },
        "no such key: a",
    ),
    "a default that its transition rule refuses": (
        {"type": "object", "default": {}, "x-kubernetes-validations": [{"rule": "self != oldSelf", "message": "odd"}]},
        "odd",
    ),
    "a map list without keys": (
        {
            "type": "object",
            "properties": {
                "a": {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            },
        },
        "x-kubernetes-list-map-keys",
    ),
    "a map list whose key is optional": (
        {
            "type": "object",
            "properties": {
                "a": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
            },
        },
        "default",
    ),
    "a rule that is no CEL": ({"type": "object", "x-kubernetes-validations": [{"rule": "self."}]}, "rule"),
    "a rule about an unknown field": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.b > 1"}],
        },
        "rule",
    ),
    "a rule that compares an object of unknown fields with a map": (
        {
            "type": "object",
            "properties": {"a": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            "x-kubernetes-validations": [{"rule": "!has(self.a) || self.a == {}"}],
        },
        "no matching overload for '_==_'",
    ),
}


@pytest.mark.parametrize("title", BAD_SPECS)
def test_a_schema_that_is_not_structural_is_refused(client: Client, plural: str, title: str) -> None:
    spec, place = BAD_SPECS[title]
    body = definition(plural, plural.capitalize(), short(plural), spec)
    body["spec"]["versions"][0]["subresources"] = {}

    refused = client.post(DEFINITIONS, body)

    assert refused.code == 422, refused.body
    assert place in refused.message


def test_a_definition_is_named_after_its_kind(client: Client, plural: str) -> None:
    body = defining(plural)
    body["metadata"]["name"] = f"other.{GROUP}"

    refused = client.post(DEFINITIONS, body)

    assert refused.code == 422
    assert "metadata.name" in refused.causes


def test_a_definition_without_a_schema_is_refused(client: Client, plural: str) -> None:
    body = defining(plural)
    del body["spec"]["versions"][0]["schema"]

    assert client.post(DEFINITIONS, body).code == 422


@pytest.mark.usefixtures("defined")
def test_a_kind_name_that_is_taken_is_not_accepted(client: Client, plural: str) -> None:
    client.made(DEFINITIONS, definition(plural, "Widget", short(plural)))

    eventually(lambda: conditions(client, plural).get("NamesAccepted") == "False")
    assert conditions(client, plural)["Established"] == "False"


@pytest.mark.usefixtures("defined")
def test_the_scale_subresource_reads_and_writes_the_paths_it_declares(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(replicas=2))
    path = widgets(namespace, made["metadata"]["name"])
    client.patch(f"{path}/status", {"status": {"replicas": 1, "selector": "a=b"}})

    scale = client.get(f"{path}/scale").body
    scaled = client.patch(f"{path}/scale", {"spec": {"replicas": 4}})

    assert scale["kind"] == "Scale"
    assert scale["spec"]["replicas"] == 2
    assert scale["status"] == {"replicas": 1, "selector": "a=b"}
    assert scaled.code == 200
    assert client.get(path).body["spec"]["replicas"] == 4
