"""Lists in pages and watches: what the resourceVersion means in both."""

import asyncio
import json
import random
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

from minicluster import selectors
from minicluster.calls import Call, is_true
from minicluster.errors import ApiError, FieldError, bad_request, expired, forbidden_field
from minicluster.resources import Object, Resource
from minicluster.store import Event, Store

BOOKMARK_SECONDS = 5.0
PAGES_KEPT = 200
Told = tuple[str, Object]
"""(type, object) of one event of a watch."""

_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_MORE_FIELDS: dict[str, tuple[str, ...]] = {
    "Pod": ("spec.nodeName", "status.phase", "spec.restartPolicy", "spec.serviceAccountName", "status.podIP"),
    "Event": (
        *("involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid"),
        *("involvedObject.apiVersion", "involvedObject.fieldPath", "reason", "type", "source", "reportingComponent"),
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "ReplicaSet": ("status.replicas",),
    "Job": ("status.successful",),
}


def chosen_by(resource: Resource, call: Call) -> selectors.Predicate:
    """Whether an object is within the call's namespace and selectors."""
    allowed = (*_COMMON_FIELDS, *_MORE_FIELDS.get(resource.kind, ()))
    by_labels = selectors.by_labels(call.query.get("labelSelector"))
    by_fields = selectors.by_fields(call.query.get("fieldSelector"), lambda path: path in allowed)

    def chosen(item: Object) -> bool:
        metadata = item["metadata"]
        here = call.namespace is None or metadata.get("namespace") == call.namespace
        return here and call.name in ("", metadata["name"]) and by_labels(item) and by_fields(item)

    return chosen


class Pages:
    """Lists cut by `limit`. Later pages show the moment of the first one, or are expired."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rest: OrderedDict[str, tuple[int, list[Object]]] = OrderedDict()

    def page(self, resource: Resource, call: Call) -> Object:
        token, limit = call.query.get("continue"), _number(call.query.get("limit"), "limit")
        if token:
            version, items = self._rest.get(token, (0, []))
            if version < self._store.oldest:
                message = "The provided continue parameter is too old to display a consistent list result."
                raise ApiError(410, "Expired", message)
        else:
            version = self._version(call)
            items = [item for item in self._store.items(resource, call.namespace) if chosen_by(resource, call)(item)]
        metadata: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            metadata["continue"] = self._keep(version, items[limit:])
            metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        kind = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version}
        return {**kind, "metadata": metadata, "items": items}

    def _version(self, call: Call) -> int:
        wanted = _number(call.query.get("resourceVersion"), "resourceVersion")
        if wanted > self._store.version:
            message = f"Too large resource version: {wanted}, current: {self._store.version}"
            raise ApiError(504, "Timeout", message, {"retryAfterSeconds": 1})
        if call.query.get("resourceVersionMatch") == "Exact" and wanted < self._store.version:
            raise expired(str(wanted))
        return self._store.version

    def _keep(self, version: int, items: list[Object]) -> str:
        token = secrets.token_urlsafe(16)
        self._rest[token] = version, items
        if len(self._rest) > PAGES_KEPT:
            self._rest.popitem(last=False)
        return token


def _number(text: str | None, field: str) -> int:
    if text and not text.isdigit():
        raise bad_request(f'Invalid value for query parameter {field}: "{text}" is no number')
    return int(text or 0)


class Watch:
    """The events of one watch request."""

    def __init__(self, store: Store, served: Callable[[Resource], bool], resource: Resource, call: Call) -> None:
        self._store = store
        self._served = served
        self._resource = resource
        self._chosen = chosen_by(resource, call)
        self._query = call.query
        self._version = call.query.get("resourceVersion") or "0"
        self._check()

    def _check(self) -> None:
        _number(self._version, "resourceVersion")
        match = self._query.get("resourceVersionMatch")
        if is_true(self._query.get("sendInitialEvents")) and match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise _invalid_options(forbidden_field("resourceVersionMatch", why))
        if match and "sendInitialEvents" not in self._query:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise _invalid_options(forbidden_field("resourceVersionMatch", why))

    async def events(self) -> AsyncIterator[Told]:
        queue = self._store.listen(self._resource)
        try:
            version = int(self._version)
            if version and version < self._store.oldest and not self._initial:
                yield "ERROR", expired(self._version).status()
                return
            if self._initial or (not version and "sendInitialEvents" not in self._query):
                version = self._store.version
                for told in self._beginning():
                    yield told
            elif not version:
                version = self._store.version
            for event in self._store.since(self._resource, version):
                for told in self._seen(event):
                    yield told
            async for told in self._following(queue, max(version, self._store.version)):
                yield told
        finally:
            self._store.unlisten(self._resource, queue)

    @property
    def _initial(self) -> bool:
        return is_true(self._query.get("sendInitialEvents"))

    def _beginning(self) -> list[Told]:
        told: list[Told] = [("ADDED", item) for item in self._store.items(self._resource) if self._chosen(item)]
        if self._initial and is_true(self._query.get("allowWatchBookmarks")):
            told.append(self._bookmark({"annotations": {"k8s.io/initial-events-end": "true"}}))
        return told

    def _bookmark(self, more: Object) -> Told:
        metadata = {"resourceVersion": str(self._store.version), "creationTimestamp": None, **more}
        kind = {"kind": self._resource.kind, "apiVersion": self._resource.group_version}
        return "BOOKMARK", {**kind, "metadata": metadata}

    async def _following(self, queue: "asyncio.Queue[Event]", version: int) -> AsyncIterator[Told]:
        loop = asyncio.get_running_loop()
        seconds = _number(self._query.get("timeoutSeconds"), "timeoutSeconds") or random.uniform(1800, 3600)
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0 and self._served(self._resource):
            try:
                event = await asyncio.wait_for(queue.get(), min(left, BOOKMARK_SECONDS))
            except TimeoutError:
                if is_true(self._query.get("allowWatchBookmarks")):
                    yield self._bookmark({})
                continue
            if event.version > version:
                for told in self._seen(event):
                    yield told

    def _seen(self, event: Event) -> list[Told]:
        """How the event looks through the selectors: entering is ADDED, leaving is DELETED."""
        now = self._chosen(event.object)
        before = event.old is not None and self._chosen(event.old)
        if event.type == "DELETED":
            return [("DELETED", event.object)] if now or before else []
        if now:
            return [("MODIFIED" if before else "ADDED", event.object)]
        if not before or event.old is None:
            return []
        metadata = event.old["metadata"] | {"resourceVersion": str(event.version)}
        return [("DELETED", {**event.old, "metadata": metadata})]


def _invalid_options(error: FieldError) -> ApiError:
    message = f'ListOptions.meta.k8s.io "" is invalid: {error}'
    return ApiError(422, "Invalid", message, {"causes": [error.cause()]})


def line(kind: str, item: Any) -> bytes:
    return json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode() + b"\n"
