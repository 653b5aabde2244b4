"""Watches: what they tell, from where, and how they end."""

import pytest

from minicluster.conformance.client import Client, Object, unique
from minicluster.conformance.objects import widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]


def version(client: Client, path: str) -> str:
    return str(client.get(path).body["metadata"]["resourceVersion"])


def write_thrice(client: Client, path: str) -> str:
    """Create, change and delete a widget; its name."""
    name = unique()
    client.made(path, widget(name))
    client.patch(f"{path}/{name}", {"spec": {"size": 8}})
    client.delete(f"{path}/{name}")
    return name


def test_a_watch_tells_what_happens_after_its_version(client: Client, namespace: str) -> None:
    path = widgets(namespace)
    before = client.made(path, widget())["metadata"]["name"]

    with client.watching(path, resourceVersion=version(client, path)) as watch:
        name = write_thrice(client, path)

        assert watch.types_of(name, 3) == ["ADDED", "MODIFIED", "DELETED"]
        assert watch.types_of(before, 0) == []


def test_a_watch_replays_what_happened_since_its_version(client: Client, namespace: str) -> None:
    path = widgets(namespace)
    start = version(client, path)
    name = write_thrice(client, path)

    with client.watching(path, resourceVersion=start) as watch:
        assert watch.types_of(name, 3) == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_without_version_begins_with_what_is_there(client: Client, namespace: str) -> None:
    name = client.made(widgets(namespace), widget())["metadata"]["name"]

    with client.watching(widgets(namespace)) as watch:
        assert watch.types_of(name, 1) == ["ADDED"]


def test_a_deletion_has_a_version_of_its_own(client: Client, namespace: str) -> None:
    made = client.made(widgets(namespace), widget())["metadata"]

    with client.watching(widgets(namespace), resourceVersion=made["resourceVersion"]) as watch:
        client.delete(widgets(namespace, made["name"]))
        gone = watch.until(lambda seen: seen and seen[-1]["type"] == "DELETED")[-1]["object"]

    assert int(gone["metadata"]["resourceVersion"]) > int(made["resourceVersion"])


def test_a_watch_ends_when_its_time_is_over(client: Client, namespace: str) -> None:
    path = widgets(namespace)

    with client.watching(path, resourceVersion=version(client, path), timeoutSeconds="1") as watch:
        assert watch.end() == []


def test_leaving_the_selection_looks_like_a_deletion_and_entering_like_a_creation(
    client: Client, namespace: str
) -> None:
    made = client.made(widgets(namespace), widget(metadata={"labels": {"t": "1"}}))["metadata"]
    path = widgets(namespace, made["name"])

    with client.watching(widgets(namespace), labelSelector="t=1", resourceVersion=made["resourceVersion"]) as watch:
        client.patch(path, {"metadata": {"labels": {"t": None}}})
        client.patch(path, {"spec": {"size": 5}})
        client.patch(path, {"metadata": {"labels": {"t": "1"}}})

        assert watch.types_of(made["name"], 2) == ["DELETED", "ADDED"]


def test_a_version_that_is_too_old_is_gone(client: Client, namespace: str) -> None:
    with client.watching(widgets(namespace), resourceVersion="1", timeoutSeconds="5") as watch:
        if watch.code != 410:
            told = watch.until(lambda seen: seen)[0]
            assert (told["type"], told["object"]["code"]) == ("ERROR", 410)


def test_a_streamed_list_ends_with_a_bookmark(client: Client, namespace: str) -> None:
    name = client.made(widgets(namespace), widget())["metadata"]["name"]
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}

    def ended(seen: list[Object]) -> bool:
        annotations = [event["object"]["metadata"].get("annotations") or {} for event in seen]
        return any(notes.get("k8s.io/initial-events-end") == "true" for notes in annotations)

    with client.watching(widgets(namespace), **query) as watch:
        seen = watch.until(ended)

    assert [event["type"] for event in seen] == ["ADDED", "BOOKMARK"]
    assert seen[0]["object"]["metadata"]["name"] == name


def test_a_streamed_list_has_to_say_how_old_it_may_be(client: Client, namespace: str) -> None:
    assert client.get(widgets(namespace), watch="1", sendInitialEvents="true").code == 422


def test_one_object_can_be_watched(client: Client, namespace: str) -> None:
    path = widgets(namespace)
    start = version(client, path)
    client.made(path, widget("other"))
    client.made(path, widget("mine"))

    with client.watching(path, fieldSelector="metadata.name=mine", resourceVersion=start) as watch:
        assert watch.types_of("mine", 1) == ["ADDED"]
        assert watch.types_of("other", 0) == []
