"""The form in which a client wants its answer: the object, a Table, or its metadata only."""

from aiohttp import web

from minicluster import event_versions, tables
from minicluster.reading import Told
from minicluster.resources import Object, Resource


def _form(request: web.Request) -> str:
    """Table, PartialObjectMetadata or "" for the object itself, as the client prefers."""
    for part in request.headers.get("Accept", "").split(","):
        for form in ("Table", "PartialObjectMetadata"):
            if f"as={form}" in part and "v=v1beta1" not in part:
                return form
        if "as=" not in part and "json" in part:
            return ""
    return ""


def as_asked(request: web.Request, resource: Resource, item: Object) -> Object:
    form = _form(request)
    is_list = item.get("kind") == f"{resource.kind}List" and "items" in item
    ours = is_list or item.get("kind") == resource.kind
    if form == "Table" and ours:
        items = item["items"] if is_list else [item]
        metadata = item["metadata"] if is_list else {"resourceVersion": item["metadata"].get("resourceVersion", "")}
        return tables.table(resource, items, metadata, request.query.get("includeObject", ""))
    if form == "PartialObjectMetadata" and is_list:
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
        return {**kind, "items": [tables.partial(entry) for entry in item["items"]]}
    if form == "PartialObjectMetadata" and ours:
        return tables.partial(item)
    if resource.group == "events.k8s.io" and ours:
        if is_list:
            return {
                **item,
                "apiVersion": "events.k8s.io/v1",
                "items": [event_versions.from_core(entry) for entry in item["items"]],
            }
        return event_versions.from_core(item)
    return item


def event_as_asked(request: web.Request, resource: Resource, told: Told, first: bool) -> Object:
    kind, item = told
    form = _form(request)
    if kind == "ERROR":
        return item
    if form == "Table":
        items = [] if kind == "BOOKMARK" else [item]
        metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
        return tables.table(resource, items, metadata, request.query.get("includeObject", ""), headed=first)
    if form:
        return tables.partial(item)
    return event_versions.from_core(item) if resource.group == "events.k8s.io" else item
