"""JSON merge patch, strategic merge patch and JSON patch as pure functions, and the merge keys that lists have."""

import copy
from typing import Any

import jsonpatch

from minicluster.errors import ApiError
from minicluster.resources import Object

MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
SETS = frozenset({"finalizers"})


def list_keys(field: str, sample: Any, schema: Object | None) -> tuple[str, ...] | None:
    """The keys of an associative list, () for a set, None for a list that is replaced as a whole."""
    if schema is not None:
        kind = schema.get("x-kubernetes-list-type")
        if kind == "map":
            return tuple(schema["x-kubernetes-list-map-keys"])
        return () if kind == "set" else None
    if field in SETS:
        return ()
    if field == "ports" and isinstance(sample, dict):
        return ("containerPort", "protocol") if "containerPort" in sample else ("port", "protocol")
    return MERGE_KEYS.get(field)


def json_merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = json_merge(merged.get(key), value)
    return merged


def json_patch(target: Object, patch: Any) -> Object:
    try:
        patched: Object = jsonpatch.apply_patch(target, patch)
    except jsonpatch.JsonPatchTestFailed as error:
        why = f"the server rejected our request due to an error in our request: {error}"
        raise ApiError(422, "Invalid", why) from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        raise ApiError(422, "Invalid", str(error)) from error
    return patched


def strategic_merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key in ("$patch", "$retainKeys") or key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            merged[field] = [item for item in merged.get(field, []) if item not in value]
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _strategic_list(key, merged.get(key) or [], value)
        else:
            merged[key] = strategic_merge(merged.get(key), value)
    retained = patch.get("$retainKeys")
    return {key: value for key, value in merged.items() if retained is None or key in retained}


def _strategic_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    keys = list_keys(field, next((item for item in patch if isinstance(item, dict)), None), None)
    if keys is None:
        return copy.deepcopy(patch)
    if not keys:
        return current + [item for item in patch if item not in current]
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    merged = list(current)
    for item in patch:
        found = next((i for i, other in enumerate(merged) if other.get(keys[0]) == item.get(keys[0])), None)
        if item.get("$patch") == "delete":
            if found is not None:
                merged.pop(found)
        elif found is None:
            merged.append(strategic_merge({}, item))
        else:
            merged[found] = strategic_merge(merged[found], item)
    return merged
