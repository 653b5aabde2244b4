"""The scale subresource: a Scale object out of the paths a kind declares, and back."""

import copy

from minicluster.errors import FieldError, bad_request, invalid, invalid_value, no_such_path
from minicluster.resources import Object, Resource
from minicluster.selectors import selector_text, value_at


def scale_of(resource: Resource, item: Object) -> Object:
    if resource.scale is None:
        raise no_such_path()
    metadata = {
        key: item["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in item["metadata"]
    }
    selector_path = resource.scale.get("labelSelectorPath")
    by_path = value_at(item, selector_path) if selector_path else None
    selector = by_path or selector_text(None if selector_path else item.get("spec", {}).get("selector"))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": value_at(item, resource.scale["specReplicasPath"]) or 0},
        "status": {"replicas": value_at(item, resource.scale["statusReplicasPath"]) or 0, "selector": selector},
    }


def with_replicas(resource: Resource, item: Object, scale: Object) -> Object:
    if resource.scale is None:
        raise no_such_path()
    replicas = scale.get("spec", {}).get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
    if replicas < 0:
        error: FieldError = invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid(resource, item["metadata"]["name"], [error])
    scaled = copy.deepcopy(item)
    place = scaled
    *parents, last = resource.scale["specReplicasPath"].strip(".").split(".")
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = replicas
    return scaled
