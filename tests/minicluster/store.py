"""Objects, resourceVersions, their history and who watches. Judges nothing: admission and verbs live elsewhere."""

import asyncio
import datetime
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from minicluster.resources import Key, Object, Resource, copied

FIRST_VERSION = 1000
HISTORY = 10_000

Place = tuple[str | None, str]
"""(namespace, name)"""


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def place_of(item: Object) -> Place:
    return item["metadata"].get("namespace"), item["metadata"]["name"]


@dataclass(frozen=True)
class Event:
    """One write. `old` is what was there before, for watches whose selector an object enters or leaves."""

    version: int
    type: str
    object: Object
    old: Object | None


@dataclass(frozen=True)
class Change:
    """What a Subscription yields; type is ADDED, MODIFIED or DELETED."""

    type: str
    object: Object


class Subscription(AsyncIterator[Change]):
    """Everything that is there as ADDED, then every change, each as a copy of its own."""

    def __init__(self, queue: "asyncio.Queue[Event]", stop: Callable[[], None]) -> None:
        self._queue = queue
        self._stop = stop

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Change:
        event = await self._queue.get()
        return Change(event.type, copied(event.object))

    def close(self) -> None:
        self._stop()


class Store:
    """Holds objects by kind and place. What it hands out is its own: copy before changing."""

    def __init__(self) -> None:
        self.version = FIRST_VERSION
        self.oldest = FIRST_VERSION
        """Watches from before this resourceVersion are refused as expired."""
        self.listeners: list[Callable[[Resource, Event], None]] = []
        self._objects: dict[Key, dict[Place, Object]] = {}
        self._history: dict[Key, deque[Event]] = {}
        self._queues: dict[Key, set[asyncio.Queue[Event]]] = {}

    def find(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        return self._objects.get(resource.key, {}).get((namespace, name))

    def items(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        held = self._objects.get(resource.key, {})
        found = [item for (where, _), item in held.items() if namespace is None or where == namespace]
        return sorted(found, key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))

    def everything(self) -> Iterator[tuple[Key, Object]]:
        for key, held in list(self._objects.items()):
            for item in list(held.values()):
                yield key, item

    def has_uid(self, uid: str) -> bool:
        return any(item["metadata"]["uid"] == uid for _, item in self.everything())

    def add(self, resource: Resource, item: Object) -> Object:
        metadata = item["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata["creationTimestamp"] = now()
        if resource.generation or resource.custom:
            metadata["generation"] = 1
        return self._record(resource, "ADDED", item, None)

    def replace(self, resource: Resource, item: Object, old: Object) -> Object:
        return self._record(resource, "MODIFIED", item, old)

    def remove(self, resource: Resource, item: Object) -> Object:
        return self._record(resource, "DELETED", copied(item), item)

    def _record(self, resource: Resource, change: str, item: Object, old: Object | None) -> Object:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        held = self._objects.setdefault(resource.key, {})
        if change == "DELETED":
            held.pop(place_of(item), None)
        else:
            held[place_of(item)] = item
        event = Event(self.version, change, item, old)
        history = self._history.setdefault(resource.key, deque())
        history.append(event)
        if len(history) > HISTORY:
            self.oldest = history.popleft().version
        for queue in self._queues.get(resource.key, ()):
            queue.put_nowait(event)
        for listener in self.listeners:
            listener(resource, event)
        return item

    def since(self, resource: Resource, version: int) -> list[Event]:
        return [event for event in self._history.get(resource.key, ()) if event.version > version]

    def forget_history(self) -> None:
        """Every resourceVersion seen so far becomes too old to watch from."""
        self.oldest = self.version
        self._history.clear()

    def listen(self, resource: Resource) -> "asyncio.Queue[Event]":
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._queues.setdefault(resource.key, set()).add(queue)
        return queue

    def unlisten(self, resource: Resource, queue: "asyncio.Queue[Event]") -> None:
        self._queues.get(resource.key, set()).discard(queue)

    def subscribe(self, resources: list[Resource]) -> Subscription:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        for resource in resources:
            for item in self.items(resource):
                queue.put_nowait(Event(int(item["metadata"]["resourceVersion"]), "ADDED", item, None))
            self._queues.setdefault(resource.key, set()).add(queue)

        def stop() -> None:
            for resource in resources:
                self.unlisten(resource, queue)

        return Subscription(queue, stop)
