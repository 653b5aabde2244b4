"""Create and update: everything between a decoded request and the store. Deleting is in deletion.py."""

import secrets
from dataclasses import dataclass
from typing import Any

from minicluster import admission, apply, schema, shaping
from minicluster.errors import (
    ApiError,
    about,
    already_exists,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    modified,
    not_found,
)
from minicluster.resources import Object, Resource, Resources, copied
from minicluster.store import Store, now, place_of

GENERATED = "bcdfghjklmnpqrstvwxz2456789"
SYSTEM_FIELDS = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)


@dataclass(frozen=True)
class Options:
    """What a request says besides its object."""

    manager: str = "minicluster"
    dry_run: bool = False
    validation: str = "Strict"
    """Unknown fields: Strict refuses, Warn and Ignore drop them."""
    warnings: tuple[list[str], ...] = ()


class Writes:
    def __init__(self, store: Store, resources: Resources) -> None:
        self._store = store
        self._resources = resources

    def create(self, resource: Resource, body: Object, options: Options, owned: apply.Owned | None = None) -> Object:
        item = copied(body)
        metadata = item.setdefault("metadata", {})
        item["apiVersion"], item["kind"] = resource.group_version, resource.kind
        self._check_namespace(resource, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(GENERATED) for _ in range(5))
        for field in SYSTEM_FIELDS:
            metadata.pop(field, None)
        if resource.has_status:
            item.pop("status", None)
        shaping.conform(resource, item, options.validation, *options.warnings)
        admission.admit_new(resource, item, self._store, self._resources)
        self._validate(resource, item, None)
        if self._store.find(resource, *place_of(item)) is not None:
            raise already_exists(resource, metadata["name"])
        metadata.pop("managedFields", None)
        apply.write_owned(item, owned or apply.after_update(None, item, resource, options.manager, ""))
        if options.dry_run:
            metadata.update(uid=admission.new_uid(), creationTimestamp=now())
            return item
        return self._store.add(resource, item)

    def _check_namespace(self, resource: Resource, metadata: Object) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        name = metadata.get("namespace")
        namespace = self._store.find(self._resources["Namespace"], None, name) if name else None
        if namespace is None:
            raise not_found(self._resources["Namespace"], str(name))
        if namespace["metadata"].get("deletionTimestamp"):
            named = metadata.get("name") or metadata.get("generateName", "")
            why = f"unable to create new content in namespace {name} because it is being terminated"
            details = about(resource, named) | {
                "causes": [
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {name} is being terminated",
                        "field": "metadata.namespace",
                    }
                ]
            }
            raise ApiError(403, "Forbidden", f'{resource.qualified} "{named}" is forbidden: {why}', details)

    def _validate(self, resource: Resource, item: Object, old: Object | None) -> None:
        errors = admission.metadata_errors(resource, item)
        if resource.schema is not None:
            errors += schema.errors(resource.schema, item, old)
        if errors:
            raise invalid(resource, item["metadata"].get("name", ""), errors)

    def update(
        self,
        resource: Resource,
        current: Object,
        body: Object,
        options: Options,
        subresource: str = "",
        owned: apply.Owned | None = None,
    ) -> Object:
        item = copied(body)
        name = current["metadata"]["name"]
        self._check_identity(resource, item.setdefault("metadata", {}), current["metadata"])
        item["apiVersion"], item["kind"] = resource.group_version, resource.kind
        item = _keep_what_this_door_may_not_change(resource, item, current, subresource)
        metadata = item["metadata"]
        shaping.conform(resource, item, options.validation, *options.warnings)
        if subresource != "status":
            admission.admit_change(resource, item, current, self._store, self._resources)
        self._validate(resource, item, current)
        added = set(metadata.get("finalizers") or ()) - set(current["metadata"].get("finalizers") or ())
        if added and metadata.get("deletionTimestamp"):
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
            raise invalid(resource, name, [forbidden_field("metadata.finalizers", why)])
        for field in ("labels", "annotations", "finalizers", "ownerReferences"):
            if field in metadata and not metadata[field]:
                del metadata[field]
        if owned is None and _content(item) == _content(current) and apply.same_owned(item, current):
            return current
        apply.write_owned(item, owned or apply.after_update(current, item, resource, options.manager, subresource))
        if _content(item) == _content(current) and apply.same_owned(item, current):
            return current
        counts = resource.generation or resource.custom
        if counts and _intent(item, resource) != _intent(current, resource):
            metadata["generation"] = current["metadata"].get("generation", 1) + 1
        if options.dry_run:
            return item
        if _is_done(resource, metadata):
            return self._store.remove(resource, item)
        return self._store.replace(resource, item, current)

    def _check_identity(self, resource: Resource, metadata: Object, current: Object) -> None:
        name = current["name"]
        if metadata.get("resourceVersion") not in (None, "", current["resourceVersion"]):
            raise modified(resource, name)
        if metadata.get("uid") not in (None, "", current["uid"]):
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {current['uid']}"
            raise conflict(resource, name, why)
        if metadata.get("name") not in (None, "", name):
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        for field in ("name", "namespace", *SYSTEM_FIELDS):
            if field in current:
                metadata[field] = current[field]
            else:
                metadata.pop(field, None)
        metadata["managedFields"] = metadata.get("managedFields") or current.get("managedFields", [])


def _keep_what_this_door_may_not_change(resource: Resource, item: Object, current: Object, subresource: str) -> Object:
    """PUT and PATCH of an object leave its status alone; those of /status leave everything else."""
    if not resource.has_status:
        return item
    kept, taken = (item, current) if subresource != "status" else (copied(current), item)
    if subresource == "status" and not resource.custom:
        for field in ("labels", "annotations", "finalizers", "ownerReferences"):
            if field in item["metadata"]:
                kept["metadata"][field] = item["metadata"][field]
    kept.pop("status", None)
    if taken.get("status") is not None:
        kept["status"] = copied(taken["status"])
    return kept


def _is_done(resource: Resource, metadata: Object) -> bool:
    """Whether nothing keeps an object that is being deleted: no finalizer, no grace period, no content."""
    waits = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds") or resource.kind == "Namespace"
    return bool(metadata.get("deletionTimestamp")) and not waits


def _content(item: Object) -> Object:
    """Everything whose change is a change: without the bookkeeping."""
    metadata = {
        key: value
        for key, value in item["metadata"].items()
        if key not in ("managedFields", "resourceVersion", "generation") and value not in ({}, [])
    }
    return {**item, "metadata": metadata}


def _intent(item: Object, resource: Resource) -> dict[str, Any]:
    dropped = {"metadata", "status"} if resource.has_status or not resource.custom else {"metadata"}
    return {key: value for key, value in item.items() if key not in dropped}
