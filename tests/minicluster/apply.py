"""Server-side apply and field ownership (metadata.managedFields) after any write. Pure functions on objects.

A field is known by its path: a tuple of parts as they stand in fieldsV1 ("f:spec", 'k:{"name":"a"}', "v:1", ".").
"""

import copy
import json
from collections.abc import Iterable
from typing import Any

from minicluster.errors import ApiError
from minicluster.patches import list_keys
from minicluster.resources import Object, Resource
from minicluster.schema import child_schema
from minicluster.store import now

Path = tuple[str, ...]
Owned = list[tuple[Object, set[Path]]]
"""Each entry of managedFields with the set of paths it stands for."""

_UNOWNED_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_UNOWNED: set[Path] = {("f:apiVersion",), ("f:kind",)} | {("f:metadata", f"f:{key}") for key in _UNOWNED_METADATA}


def fields(item: Any, resource: Resource) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    _collect(item, resource.schema, resource.custom, (), "", found)
    return found


def _collect(item: Any, schema: Object | None, custom: bool, path: Path, field: str, found: dict[Path, Any]) -> None:
    if isinstance(item, dict) and (item or not path):
        if path and path[-1].startswith("k:"):
            found[(*path, ".")] = True
        for key, value in item.items():
            below = (*path, f"f:{key}")
            if below not in _UNOWNED:
                _collect(value, child_schema(schema, key) if custom else None, custom, below, key, found)
    elif isinstance(item, list) and item:
        keys = list_keys(field, item[0], _list_schema(schema, custom, path))
        if keys is None:
            found[path] = item
            return
        for entry in item:
            if keys:
                below = (*path, _entry_part(entry, keys))
                _collect(entry, (schema or {}).get("items"), custom, below, field, found)
            else:
                found[(*path, f"v:{json.dumps(entry)}")] = entry
    elif path:
        found[path] = item


def _list_schema(schema: Object | None, custom: bool, path: Path) -> Object | None:
    """The schema that says how a list merges; metadata has the built-in rules also in custom resources."""
    return (schema or {}) if custom and path[0] != "f:metadata" else None


def _entry_key(entry: Object, keys: Iterable[str]) -> Object:
    return {key: entry.get(key, "TCP" if key == "protocol" else None) for key in sorted(keys)}


def _entry_part(entry: Object, keys: Iterable[str]) -> str:
    return "k:" + json.dumps(_entry_key(entry, keys), separators=(",", ":"))


def _nest(paths: Iterable[Path]) -> Object:
    root: Object = {}
    for path in paths:
        place = root
        for part in path:
            place = place.setdefault(part, {})
    return root


def _unnest(nested: Object, path: Path = ()) -> set[Path]:
    if not nested:
        return {path} if path else set()
    return set().union(*(_unnest(value, (*path, part)) for part, value in nested.items()))


def read_owned(item: Object) -> Owned:
    return [(entry, _unnest(entry.get("fieldsV1", {}))) for entry in item["metadata"].get("managedFields") or ()]


def write_owned(item: Object, owned: Owned) -> None:
    entries = [{**entry, "fieldsV1": _nest(sorted(paths))} for entry, paths in owned if paths]
    if entries:
        item["metadata"]["managedFields"] = entries
    else:
        item["metadata"].pop("managedFields", None)


def same_owned(item: Object, other: Object) -> bool:
    def known(which: Object) -> list[tuple[Any, ...]]:
        entries = which["metadata"].get("managedFields") or ()
        return [(entry["manager"], entry["operation"], entry["fieldsV1"]) for entry in entries]

    return known(item) == known(other)


def _entry(resource: Resource, manager: str, operation: str, subresource: str) -> Object:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": resource.group_version,
        "time": now(),
        "fieldsType": "FieldsV1",
    }
    return {**entry, "subresource": subresource} if subresource else entry


def _is(entry: Object, manager: str, operation: str, subresource: str) -> bool:
    known = (entry["manager"], entry["operation"], entry.get("subresource", ""))
    return known == (manager, operation, subresource)


def after_update(old: Object | None, new: Object, resource: Resource, manager: str, subresource: str) -> Owned:
    """Ownership after a create, update or patch: the writer owns what it changed, nobody owns what is gone.

    `new` carries the owners as they were, or those that the writer states.
    """
    before, after = fields(old, resource) if old else {}, fields(new, resource)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = set(before) - set(after)
    owned: Owned = []
    for entry, paths in read_owned(new):
        if _is(entry, manager, "Update", subresource):
            owned.append(({**entry, "time": now()} if changed else entry, (paths | changed) - gone))
            changed = set()
        else:
            owned.append((entry, paths - {path for path in changed if path[-1] != "."} - gone))
    if changed:
        owned.append((_entry(resource, manager, "Update", subresource), changed))
    return owned


def merge(
    live: Object | None, applied: Object, resource: Resource, manager: str, force: bool, subresource: str
) -> tuple[Object, Owned]:
    """The object after an apply and who owns its fields; ApiError 409 where others own what would change."""
    base: Object = copy.deepcopy(live) if live is not None else {"metadata": {}}
    wanted = fields(applied, resource)
    others, previous = _others(base, manager, subresource)
    others = _settle_conflicts(others, fields(base, resource), wanted, force)
    merged = _merge_values(base, applied, resource.schema, resource.custom, "", True)
    still_owned: set[Path] = set().union(*(paths for _, paths in others)) if others else set()
    _remove(merged, previous - set(wanted) - still_owned, still_owned)
    return merged, [(_entry(resource, manager, "Apply", subresource), set(wanted)), *others]


def _others(base: Object, manager: str, subresource: str) -> tuple[Owned, set[Path]]:
    previous: set[Path] = set()
    others: Owned = []
    for entry, paths in read_owned(base):
        if _is(entry, manager, "Apply", subresource):
            previous = paths
        else:
            others.append((entry, paths))
    return others, previous


def _settle_conflicts(others: Owned, there: dict[Path, Any], wanted: dict[Path, Any], force: bool) -> Owned:
    settled: Owned = []
    causes = []
    for entry, paths in others:
        taken = {path for path in paths & set(wanted) if path[-1] != "." and there.get(path) != wanted[path]}
        settled.append((entry, paths - taken))
        using = f' with subresource "{entry["subresource"]}"' if entry.get("subresource") else ""
        if entry["operation"] == "Update":
            using += f" using {entry['apiVersion']}"
        for path in sorted(taken):
            told = f'conflict with "{entry["manager"]}"{using}'
            causes.append({"reason": "FieldManagerConflict", "message": told, "field": _dotted(path)})
    if not causes or force:
        return settled
    texts = [f"{cause['message']}: {cause['field']}" for cause in causes]
    counted = "1 conflict" if len(causes) == 1 else f"{len(causes)} conflicts"
    message = (
        f"Apply failed with {counted}: {texts[0]}" if len(causes) == 1 else f"Apply failed with {counted}: {texts}"
    )
    raise ApiError(409, "Conflict", message, {"causes": causes})


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        if part.startswith("f:"):
            text += f".{part[2:]}"
        elif part.startswith("k:"):
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(part[2:]).items()) + "]"
        else:
            text += f"[={part[2:]}]"
    return text


def _merge_values(live: Any, applied: Any, schema: Object | None, custom: bool, field: str, top: bool = False) -> Any:
    if isinstance(applied, dict) and isinstance(live, dict):
        merged = dict(live)
        for key, value in applied.items():
            plain = top and key == "metadata"
            below = child_schema(schema, key) if custom and not plain else None
            merged[key] = _merge_values(live[key], value, below, custom and not plain, key) if key in live else value
        return merged
    if isinstance(applied, list) and isinstance(live, list) and applied:
        keys = list_keys(field, applied[0], (schema or {}) if custom else None)
        if keys is not None:
            return _merge_lists(live, applied, keys, schema, custom, field)
    return applied


def _merge_lists(
    live: list[Any], applied: list[Any], keys: tuple[str, ...], schema: Object | None, custom: bool, field: str
) -> list[Any]:
    if not keys:
        return live + [entry for entry in applied if entry not in live]
    merged = list(live)
    for entry in applied:
        part = _entry_part(entry, keys)
        found = next((i for i, other in enumerate(merged) if _entry_part(other, keys) == part), None)
        if found is None:
            merged.append(entry)
        else:
            merged[found] = _merge_values(merged[found], entry, (schema or {}).get("items"), custom, field)
    return merged


def _remove(item: Object, lost: set[Path], still_owned: set[Path]) -> None:
    """Take away what the applier no longer wants and nobody else owns, whole list entries at once."""
    entries = {path[:-1] for path in lost if path[-1] == "."}
    whole = {path for path in entries if not any(other[: len(path)] == path for other in still_owned)}
    for path in sorted(lost, key=lambda path: (-len(path), path)):
        if path[-1] != "." and not any(path[: len(entry)] == entry for entry in whole):
            _drop(item, path)
    for path in sorted(whole, key=len, reverse=True):
        _drop(item, path)


def _drop(item: Any, path: Path) -> None:
    part, rest = path[0], path[1:]
    if part.startswith("f:"):
        key = part[2:]
        if not isinstance(item, dict) or key not in item:
            return
        if rest:
            _drop(item[key], rest)
        if not rest or item[key] in ({}, []):
            del item[key]
    elif isinstance(item, list):
        found = next((i for i, entry in enumerate(item) if _stands_for(part, entry)), None)
        if found is not None and rest:
            _drop(item[found], rest)
        elif found is not None:
            item.pop(found)


def _stands_for(part: str, entry: Any) -> bool:
    if part.startswith("v:"):
        return bool(entry == json.loads(part[2:]))
    keys = json.loads(part[2:])
    return isinstance(entry, dict) and _entry_key(entry, keys) == keys
