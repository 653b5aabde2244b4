"""Api: the verbs of the Kubernetes API as plain calls, for the HTTP side, the controllers and the kubelet.

What each verb means is in writes.py, apply.py and deletion.py; HTTP is in http.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from minicluster import apply, patches, rbac, scale, selectors
from minicluster.definitions import Definitions
from minicluster.deletion import DeleteOptions, Deletion
from minicluster.disruption import Disruption
from minicluster.errors import ApiError, bad_request, modified, not_found
from minicluster.resources import Object, Resource, Resources, copied
from minicluster.store import Change, Event, Store, Subscription
from minicluster.writes import Options, Writes

__all__ = ["Api", "ApiError", "Change", "Object", "Subscription"]

LogReader = Callable[[Object, str | None, bool, bool], AsyncIterator[bytes]]
"""(pod, container, follow, previous) -> its log. Raises ApiError at once where there is none."""


class Api:
    """One Kubernetes API. Calls are synchronous and need no lock: everything runs on one event loop."""

    def __init__(self) -> None:
        self.resources = Resources()
        self.store = Store()
        self.log_reader: LogReader | None = None
        self.writes = Writes(self.store, self.resources)
        self.deletion = Deletion(self.store, self.resources)
        self.disruption = Disruption(self.store, self.resources)
        definitions = Definitions(self.store, self.resources)
        self.store.listeners += [definitions.seen, self.deletion.seen, self._provide_account]
        for name in ("default", "kube-system", "kube-public"):
            self.create("Namespace", {"metadata": {"name": name}})
        for kind, role in rbac.first_roles():
            self.create(kind, role)

    async def run(self) -> None:
        """Garbage collection, namespace deletion and disruption budgets, until cancelled."""
        await asyncio.gather(self.deletion.run(), self.disruption.run())

    def _provide_account(self, resource: Resource, event: Event) -> None:
        """Every namespace has the service account that pods get which name none."""
        if resource.kind == "Namespace" and event.type == "ADDED":
            self.create(
                "ServiceAccount", {"metadata": {"name": "default", "namespace": event.object["metadata"]["name"]}}
            )

    # The calls of controllers and kubelet: by Kind word, on copies, with the rights of an administrator.

    def get(self, kind: str, namespace: str | None, name: str) -> Object:
        return copied(self.stored(self.resources[kind], namespace, name))

    def find(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return copied(self.store.find(self.resources[kind], namespace, name))

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[Object]:
        items = self.store.items(self.resources[kind], namespace)
        return [copied(item) for item in items if selectors.has_labels(item, labels or {})]

    def create(self, kind: str, body: Object) -> Object:
        return copied(self.writes.create(self.resources[kind], body, Options()))

    def patch(self, kind: str, namespace: str | None, name: str, merge_patch: Object, subresource: str = "") -> Object:
        resource = self.resources[kind]
        current = self.stored(resource, namespace, name)
        return copied(self._patched(resource, current, patches.json_merge, merge_patch, Options(), subresource))

    def delete(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        propagation: str = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        resource = self.resources[kind]
        options = DeleteOptions(propagation=propagation, grace_seconds=grace_seconds, uid=uid)
        self.deletion.delete(resource, self.stored(resource, namespace, name), options)

    def subscribe(self, *kinds: str) -> Subscription:
        return self.store.subscribe([self.resources[kind] for kind in kinds])

    # The calls of the HTTP side: by Resource, with request options, returning what is stored.

    def stored(self, resource: Resource, namespace: str | None, name: str) -> Object:
        item = self.store.find(resource, namespace if resource.namespaced else None, name)
        if item is None:
            raise not_found(resource, name)
        return item

    def patch_with(
        self,
        resource: Resource,
        current: Object,
        content_type: str,
        patch: Any,
        options: Options,
        subresource: str = "",
    ) -> Object:
        functions: dict[str, Callable[[Any, Any], Any]] = {
            "application/merge-patch+json": patches.json_merge,
            "application/json-patch+json": patches.json_patch,
        }
        if not resource.custom:
            functions["application/strategic-merge-patch+json"] = patches.strategic_merge
        if content_type not in functions:
            allowed = ", ".join([*functions, "application/apply-patch+yaml"])
            message = f"the body of the request was in an unknown format - accepted media types include: {allowed}"
            raise ApiError(415, "UnsupportedMediaType", message)
        return self._patched(resource, current, functions[content_type], patch, options, subresource)

    def _patched(
        self,
        resource: Resource,
        current: Object,
        function: Callable[[Any, Any], Any],
        patch: Any,
        options: Options,
        subresource: str,
    ) -> Object:
        if subresource == "scale":
            wanted = function(scale.scale_of(resource, current), patch)
            return self.set_scale(resource, current, wanted, options)
        body = function(copied(current), patch)
        if not isinstance(body, dict):
            raise bad_request("the patch makes no object")
        return self.writes.update(resource, current, body, options, subresource)

    def set_scale(self, resource: Resource, current: Object, wanted: Object, options: Options) -> Object:
        version = wanted.get("metadata", {}).get("resourceVersion")
        if version and version != current["metadata"]["resourceVersion"]:
            raise modified(resource, current["metadata"]["name"])
        body = scale.with_replicas(resource, current, wanted)
        return self.writes.update(resource, current, body, options, "scale")

    def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        options: Options,
        *,
        force: bool,
        subresource: str = "",
    ) -> tuple[Object, bool]:
        """Server-side apply; says whether it created the object."""
        current = self.store.find(resource, namespace, name)
        if current is None and subresource:
            raise not_found(resource, name)
        body.setdefault("metadata", {}).setdefault("name", name)
        merged, owned = apply.merge(current, body, resource, options.manager, force, subresource)
        if current is not None:
            return self.writes.update(resource, current, merged, options, subresource, owned), False
        merged["metadata"]["namespace"] = namespace
        return self.writes.create(resource, merged, options, owned), True
