"""Lists: selectors, pages, tables and partial objects."""

import pytest

from minicluster.conformance.client import Client
from minicluster.conformance.objects import GROUP, core, pod, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
def five(client: Client, namespace: str) -> str:
    """The path of five widgets a to e; a and b are labelled."""
    labels = {"a": {"t": "1", "k": "1"}, "b": {"t": "1"}}
    for name in "abcde":
        client.made(widgets(namespace), widget(name, {"labels": labels.get(name, {})}))
    return widgets(namespace)


def names(client: Client, path: str, **query: str) -> list[str]:
    return [item["metadata"]["name"] for item in client.get(path, **query).body["items"]]


def test_a_list_names_its_kind_and_version(client: Client, five: str) -> None:
    listed = client.get(five).body

    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", f"{GROUP}/v1")
    assert listed["metadata"]["resourceVersion"].isdigit()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("t=1", "ab"),
        ("t==1,k", "a"),
        ("t=1,!k", "b"),
        ("t in (1,2),k!=1", "b"),
        ("t notin (1)", "cde"),
        ("k!=1", "bcde"),
        ("", "abcde"),
    ],
)
def test_labels_select(client: Client, five: str, selector: str, expected: str) -> None:
    assert names(client, five, labelSelector=selector) == list(expected)


def test_the_name_is_a_field_to_select_by(client: Client, five: str) -> None:
    assert names(client, five, fieldSelector="metadata.name=c") == ["c"]


def test_other_fields_cannot_be_selected_by(client: Client, five: str) -> None:
    assert client.get(five, fieldSelector="spec.size=3").code == 400


def test_pods_are_selected_by_their_phase(client: Client, namespace: str) -> None:
    client.made(core(namespace, "pods"), pod("p"))

    assert names(client, core(namespace, "pods"), fieldSelector="status.phase=Pending") == ["p"]
    assert names(client, core(namespace, "pods"), fieldSelector="status.phase=Running") == []


def test_pages_follow_each_other(client: Client, five: str) -> None:
    first = client.get(five, limit="2").body
    rest = client.get(five, limit="10", **{"continue": first["metadata"]["continue"]}).body

    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d", "e"]
    assert not rest["metadata"].get("continue")


def test_later_pages_show_the_moment_of_the_first(client: Client, five: str) -> None:
    first = client.get(five, limit="2").body
    client.delete(f"{five}/e")

    rest = client.get(five, limit="10", **{"continue": first["metadata"]["continue"]}).body

    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d", "e"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_table_has_the_printer_columns(client: Client, five: str) -> None:
    table = client.get(five, TABLE).body

    assert table["kind"] == "Table"
    columns = [(column["name"], column["priority"]) for column in table["columnDefinitions"]]
    assert columns == [("Name", 0), ("Size", 0), ("Phase", 0), ("Ready", 0), ("Last", 0), ("Age", 0), ("Color", 1)]


def test_a_table_has_empty_cells_where_there_is_nothing(client: Client, five: str) -> None:
    cells = client.get(five, TABLE).body["rows"][0]["cells"]

    assert cells[:5] == ["a", 3, None, None, None]
    assert cells[5].endswith("s")
    assert cells[6] == "red"


def test_a_table_finds_values_by_filter_and_slice(client: Client, five: str) -> None:
    conditions = [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]
    status = {"phase": "Up", "conditions": conditions, "attempts": [{"number": 1}, {"number": 2}]}
    client.patch(f"{five}/a/status", {"status": status})

    assert client.get(f"{five}/a", TABLE).body["rows"][0]["cells"][:5] == ["a", 3, "Up", "True", 2]


def test_partial_objects_are_metadata_only(client: Client, five: str) -> None:
    listed = client.get(five, PARTIAL).body

    assert listed["kind"] == "PartialObjectMetadataList"
    assert all(set(item) == {"kind", "apiVersion", "metadata"} for item in listed["items"])
