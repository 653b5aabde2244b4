"""Deleting: grace, finalizers, what goes along with an owner, a namespace or a kind. Slow parts happen in `run`."""

import asyncio
import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from minicluster.definitions import CLEANUP
from minicluster.errors import conflict
from minicluster.resources import Object, Resource, Resources, copied
from minicluster.store import Event, Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
COLLECTING_SECONDS = 0.02
"""Garbage collection is never instant, so that nobody relies on it."""

Found = tuple[Resource, Object]


@dataclass(frozen=True)
class DeleteOptions:
    propagation: str = "Background"
    """Background, Foreground or Orphan."""
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


def owners(item: Object) -> list[Object]:
    return item["metadata"].get("ownerReferences") or []


class Deletion:
    def __init__(self, store: Store, resources: Resources) -> None:
        self._store = store
        self._resources = resources
        self._events: asyncio.Queue[tuple[Resource, Event]] = asyncio.Queue()

    def delete(self, resource: Resource, item: Object, options: DeleteOptions) -> Object:
        """The object as it was last: gone, or marked and waiting for its finalizers or its grace period."""
        self._check_preconditions(resource, item["metadata"], options)
        if options.dry_run:
            return item
        finalizers = self._finalizers(resource, item["metadata"], options)
        grace = self._grace(resource, item, options)
        if not finalizers and not grace and resource.kind != "Namespace":
            return self._store.remove(resource, item)
        marked = copied(item)
        if finalizers:
            marked["metadata"]["finalizers"] = finalizers
        self._mark(resource, marked, grace)
        return item if marked == item else self._store.replace(resource, marked, item)

    def _check_preconditions(self, resource: Resource, metadata: Object, options: DeleteOptions) -> None:
        for field, word, wanted in (
            ("uid", "UID", options.uid),
            ("resourceVersion", "ResourceVersion", options.resource_version),
        ):
            if wanted and wanted != metadata[field]:
                why = f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {metadata[field]}"
                raise conflict(resource, metadata["name"], why)

    def _finalizers(self, resource: Resource, metadata: Object, options: DeleteOptions) -> list[str]:
        kept = [name for name in metadata.get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
        wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(options.propagation, [])
        if not wanted and metadata.get("deletionTimestamp"):
            wanted = [name for name in metadata.get("finalizers") or () if name in (FOREGROUND, ORPHAN)]
        return kept + wanted

    def _grace(self, resource: Resource, item: Object, options: DeleteOptions) -> int:
        """Seconds until a running pod may be gone; 0 for everything else."""
        if resource.kind != "Pod" or not item["spec"].get("nodeName"):
            return 0
        if (item.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        wanted = options.grace_seconds
        seconds: int = item["spec"].get("terminationGracePeriodSeconds", 30) if wanted is None else max(wanted, 0)
        pending = item["metadata"].get("deletionGracePeriodSeconds")
        return seconds if pending is None else min(seconds, pending)

    def _mark(self, resource: Resource, item: Object, grace: int) -> None:
        metadata = item["metadata"]
        if not metadata.get("deletionTimestamp") and "generation" in metadata:
            metadata["generation"] += 1
        if not metadata.get("deletionTimestamp") or grace < metadata.get("deletionGracePeriodSeconds", 0):
            due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=grace)
            metadata["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["deletionGracePeriodSeconds"] = grace
        if resource.kind == "Namespace":
            item["status"] = {**item.get("status", {}), "phase": "Terminating"}

    def seen(self, resource: Resource, event: Event) -> None:
        self._events.put_nowait((resource, event))

    async def run(self) -> None:
        while True:
            seen = [await self._events.get()]
            await asyncio.sleep(COLLECTING_SECONDS)
            while not self._events.empty():
                seen.append(self._events.get_nowait())
            for resource, event in seen:
                if self._concerns(event):
                    self._work(resource, event)

    def _concerns(self, event: Event) -> bool:
        metadata = event.object["metadata"]
        if event.type == "DELETED" or metadata.get("deletionTimestamp"):
            return True
        return bool(owners(event.object)) and (event.old is None or owners(event.old) != owners(event.object))

    def _work(self, resource: Resource, event: Event) -> None:
        item = event.object
        if event.type != "DELETED":
            current = self._current(resource, item)
            if current is not None and current["metadata"].get("deletionTimestamp"):
                self._advance(resource, current)
            elif current is not None and owners(current):
                self._collect(resource, current)
            return
        for below, dependent in self._dependents(item["metadata"]["uid"]):
            self._collect(below, dependent)
        for above, waiting in self._waiting_for(resource, item):
            self._advance(above, waiting)

    def _current(self, resource: Resource, item: Object) -> Object | None:
        found = self._store.find(resource, item["metadata"].get("namespace"), item["metadata"]["name"])
        return found if found is not None and found["metadata"]["uid"] == item["metadata"]["uid"] else None

    def _everything(self) -> Iterable[Found]:
        for key, item in self._store.everything():
            resource = self._resources.find(*key)
            if resource is not None:
                yield resource, item

    def _dependents(self, uid: str) -> list[Found]:
        return [found for found in self._everything() if any(owner["uid"] == uid for owner in owners(found[1]))]

    def _waiting_for(self, resource: Resource, gone: Object) -> list[Found]:
        """What is being deleted and may have waited for this object."""
        uids = {owner["uid"] for owner in owners(gone)}
        namespace = gone["metadata"].get("namespace")
        return [
            (above, item)
            for above, item in self._everything()
            if item["metadata"].get("deletionTimestamp")
            and (
                item["metadata"]["uid"] in uids
                or (above.kind == "Namespace" and item["metadata"]["name"] == namespace)
                or (above.kind == "CustomResourceDefinition" and item["metadata"]["name"] == resource.qualified)
            )
        ]

    def _collect(self, resource: Resource, item: Object) -> None:
        """Drop references to owners that are gone; delete what has no owner left."""
        if self._current(resource, item) is None:
            return
        left = [owner for owner in owners(item) if self._store.has_uid(owner["uid"])]
        if not left:
            if not item["metadata"].get("deletionTimestamp"):
                self.delete(resource, item, DeleteOptions())
        elif left != owners(item):
            self._with_metadata(resource, item, ownerReferences=left)

    def _advance(self, resource: Resource, item: Object) -> None:
        """The next step of what is being deleted."""
        finalizers = item["metadata"].get("finalizers") or []
        if resource.kind == "Namespace":
            content = [
                found
                for found in self._everything()
                if found[1]["metadata"].get("namespace") == item["metadata"]["name"]
            ]
            self._delete_all(content)
            if not self._left(content):
                self._store.remove(resource, item)
        elif FOREGROUND in finalizers:
            self._advance_foreground(resource, item)
        elif ORPHAN in finalizers:
            uid = item["metadata"]["uid"]
            for below, dependent in self._dependents(uid):
                left = [owner for owner in owners(dependent) if owner["uid"] != uid]
                self._with_metadata(below, dependent, ownerReferences=left)
            self._without_finalizer(resource, item, ORPHAN)
        elif CLEANUP in finalizers:
            names = item["spec"]
            content = [
                found for found in self._everything() if found[0].key == (names["group"], names["names"]["plural"])
            ]
            self._delete_all(content)
            if not self._left(content):
                self._without_finalizer(resource, item, CLEANUP)

    def _advance_foreground(self, resource: Resource, item: Object) -> None:
        """The owner waits for dependents that block it; all others go after it, in the background."""
        uid = item["metadata"]["uid"]
        blocking = [
            (below, dependent)
            for below, dependent in self._dependents(uid)
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners(dependent))
        ]
        for below, dependent in blocking:
            others = [owner for owner in owners(dependent) if owner["uid"] != uid and self._store.has_uid(owner["uid"])]
            if others:
                self._with_metadata(below, dependent, ownerReferences=others)
            elif not dependent["metadata"].get("deletionTimestamp"):
                has_own = bool(self._dependents(dependent["metadata"]["uid"]))
                self.delete(below, dependent, DeleteOptions("Foreground" if has_own else "Background"))
        if not any(
            owner["uid"] == uid and owner.get("blockOwnerDeletion")
            for _, dependent in self._left(blocking)
            for owner in owners(dependent)
        ):
            self._without_finalizer(resource, item, FOREGROUND)

    def _left(self, found: list[Found]) -> list[Found]:
        current = [(resource, self._current(resource, item)) for resource, item in found]
        return [(resource, item) for resource, item in current if item is not None]

    def _delete_all(self, found: list[Found]) -> None:
        for resource, item in self._left(found):
            if not item["metadata"].get("deletionTimestamp"):
                self.delete(resource, item, DeleteOptions())

    def _without_finalizer(self, resource: Resource, item: Object, finalizer: str) -> None:
        left = [name for name in item["metadata"]["finalizers"] if name != finalizer]
        self._with_metadata(resource, item, finalizers=left)

    def _with_metadata(self, resource: Resource, item: Object, **fields: list[Object] | list[str]) -> None:
        changed = copied(item)
        for key, value in fields.items():
            if value:
                changed["metadata"][key] = value
            else:
                changed["metadata"].pop(key, None)
        deleting = changed["metadata"].get("deletionTimestamp") and not changed["metadata"].get("finalizers")
        if deleting and not changed["metadata"].get("deletionGracePeriodSeconds"):
            self._store.remove(resource, changed)
        else:
            self._store.replace(resource, changed, item)
