"""What the schema of a custom resource refuses, drops and fills in."""

from typing import Any

import pytest

from minicluster.conformance.client import Client
from minicluster.conformance.objects import widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a text for a number": ({"size": "x"}, "spec.size"),
    "a truth for a number": ({"size": True}, "spec.size"),
    "a fraction for a whole number": ({"size": 1.5}, "spec.size"),
    "less than the minimum": ({"size": 0}, "spec.size"),
    "more than the maximum": ({"size": 11}, "spec.size"),
    "the minimum where it is excluded": ({"ratio": 0}, "spec.ratio"),
    "a word that is not in the enumeration": ({"color": "green"}, "spec.color"),
    "a text that does not match": ({"image": "BAD IMAGE"}, "spec.image"),
    "a text that matches but for a line break at its end": ({"image": "good\n"}, "spec.image"),
    "a text that is too long": ({"image": "a" * 31}, "spec.image"),
    "a text that is too short": ({"image": ""}, "spec.image"),
    "too many items": ({"tags": list("abcdef")}, "spec.tags"),
    "an item twice in a set": ({"tags": ["a", "a"]}, "spec.tags[1]"),
    "a key twice in a map list": ({"ports": [{"name": "a"}, {"name": "a"}]}, "spec.ports[1]"),
    "an item without its required key": ({"ports": [{"port": 1}]}, "spec.ports[0].name"),
    "a wrong type in a list": ({"steps": [1]}, "spec.steps[0]"),
    "a wrong type in a map": ({"labels": {"a": 1}}, "spec.labels.a"),
    "a list for an integer or text": ({"quantity": [1]}, "spec.quantity"),
    "a list for an object": ({"limits": []}, "spec.limits"),
    "what a rule forbids": ({"size": 9, "any": {"a": 1}}, "spec"),
}


@pytest.mark.parametrize("title", REFUSED)
def test_the_schema_refuses(client: Client, namespace: str, title: str) -> None:
    spec, place = REFUSED[title]

    refused = client.post(widgets(namespace), widget(**spec))

    assert (refused.code, refused.reason) == (422, "Invalid"), refused.body
    assert place in refused.causes


def test_a_required_field_is_missed(client: Client, namespace: str) -> None:
    body = widget()
    del body["spec"]["size"]

    refused = client.post(widgets(namespace), body)

    assert refused.code == 422
    assert "spec.size: Required value" in refused.message


def test_all_errors_are_told_at_once(client: Client, namespace: str) -> None:
    refused = client.post(widgets(namespace), widget(size=0, color="green", image="BAD"))

    assert {"spec.size", "spec.color", "spec.image"} <= set(refused.causes)


def test_a_rule_is_told_in_its_own_words(client: Client, namespace: str) -> None:
    refused = client.post(widgets(namespace), widget(size=9, any={"a": 1}))

    assert "size too big with any" in refused.message


def test_a_whole_number_may_be_written_as_a_fraction(client: Client, namespace: str) -> None:
    assert client.made(widgets(namespace), widget(size=3.0))["spec"]["size"] == 3


@pytest.mark.parametrize("quantity", ["25%", 4])
def test_integer_or_text_takes_both(client: Client, namespace: str, quantity: str | int) -> None:
    assert client.made(widgets(namespace), widget(quantity=quantity))["spec"]["quantity"] == quantity


def test_defaults_are_filled_in(client: Client, namespace: str) -> None:
    assert client.made(widgets(namespace), widget())["spec"]["color"] == "red"


def test_defaults_are_filled_in_within_a_defaulted_object(client: Client, namespace: str) -> None:
    assert client.made(widgets(namespace), widget())["spec"]["limits"] == {"seconds": 10, "mode": "Soft"}


def test_defaults_are_filled_in_within_the_items_of_a_list(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(ports=[{"name": "a"}]))

    assert made["spec"]["ports"] == [{"name": "a", "scheme": "tcp"}]


def test_null_takes_the_default_where_null_is_not_allowed(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(color=None, limits={"seconds": None}))

    assert made["spec"]["color"] == "red"
    assert made["spec"]["limits"]["seconds"] == 10


def test_null_is_kept_where_it_is_allowed(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(maybe=None, limits={"mode": None}))

    assert made["spec"]["maybe"] is None
    assert made["spec"]["limits"]["mode"] is None


def test_null_without_default_is_dropped(client: Client, namespace: str) -> None:
    assert "image" not in client.made(widgets(namespace), widget(image=None))["spec"]


def test_unknown_fields_are_dropped(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(bogus=1, limits={"more": 1}))

    assert "bogus" not in made["spec"]
    assert "more" not in made["spec"]["limits"]


def test_unknown_fields_are_kept_where_the_schema_says_so(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget(any={"k": {"z": 1}, "null": None}))

    assert made["spec"]["any"] == {"k": {"z": 1}, "null": None}


def test_a_transition_rule_compares_with_what_was_there(client: Client, namespace: str) -> None:
    path = widgets(namespace, client.made(widgets(namespace), widget(fixed="a"))["metadata"]["name"])

    refused = client.patch(path, {"spec": {"fixed": "b"}})

    assert refused.code == 422
    assert "fixed is immutable" in refused.message
    assert client.patch(path, {"spec": {"fixed": None}}).code == 200
    assert client.patch(path, {"spec": {"fixed": "b"}}).code == 200


def test_the_status_is_judged_by_the_schema_too(client: Client, namespace: str) -> None:
    path = widgets(namespace, client.made(widgets(namespace), widget())["metadata"]["name"])

    assert client.patch(f"{path}/status", {"status": "x"}).code == 422
