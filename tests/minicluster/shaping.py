"""What the API makes of an object before it judges it: unknown fields go, defaults come, quantities become canonical.

Custom resources bring their schema; built-in kinds take theirs from builtin.py. Validation is in schema.py.
"""

import copy
from typing import Any

from minicluster import builtin, quantities
from minicluster.errors import bad_request
from minicluster.resources import Object, Resource
from minicluster.schema import child_schema, errors, of_resource

_EMBEDDED = frozenset({"apiVersion", "kind", "metadata"})


def conform(resource: Resource, item: Object, validation: str, warnings: list[str] | None = None) -> None:
    """Drop what the schema does not know (or refuse it), and fill in defaults; changes the item."""
    schema = of_resource(resource)
    unknown: list[str] = []
    _prune(item, schema, "", unknown)
    texts = [f'unknown field "{path}"' for path in unknown]
    if unknown and validation == "Strict":
        kind = f'{resource.kind} in version "{resource.version}"'
        told = ", ".join(texts)
        raise bad_request(f"{kind} cannot be handled as a {resource.kind}: strict decoding error: {told}")
    if warnings is not None and validation == "Warn":
        warnings += texts
    if resource.custom:
        _drop_nulls(item, schema)
        _default(item, schema)
    else:
        _decode_built_in(resource, item, schema)


def unknown_fields(value: Any, schema: Object) -> list[str]:
    found: list[str] = []
    _prune(copy.deepcopy(value), schema, "", found)
    return found


def with_defaults(value: Any, schema: Object) -> Any:
    filled = copy.deepcopy(value)
    _default(filled, schema)
    return filled


def _decode_built_in(resource: Resource, item: Object, schema: Object) -> None:
    """Built-in kinds are typed: a wrong type is a request nobody can read (400), an empty value is none."""
    _drop_nulls(item, schema)
    for error in errors(schema, item, None):
        if error.reason == "FieldValueTypeInvalid":
            kind = f'{resource.kind} in version "{resource.version}"'
            raise bad_request(f"{kind} cannot be handled as a {resource.kind}: json: cannot unmarshal {error}")
    _normalize(item, schema)


def _prune(item: Any, schema: Object, path: str, unknown: list[str]) -> None:
    if isinstance(item, list):
        for index, entry in enumerate(item):
            _prune(entry, schema.get("items") or builtin.ANYTHING, f"{path}[{index}]", unknown)
    if not isinstance(item, dict) or (set(schema) <= set(builtin.ANYTHING) and schema):
        return
    kept = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("additionalProperties") is True
    for key in list(item):
        below = child_schema(schema, key)
        if below is not None:
            _prune(item[key], below, f"{path}.{key}" if path else key, unknown)
        elif not kept and not (schema.get("x-kubernetes-embedded-resource") and key in _EMBEDDED):
            del item[key]
            unknown.append(f"{path}.{key}" if path else key)


def _drop_nulls(item: Any, schema: Object | None) -> None:
    if isinstance(item, dict):
        for key in list(item):
            below = child_schema(schema, key)
            if below is None:
                continue
            if item[key] is None and not below.get("nullable") and "default" not in below:
                del item[key]
            else:
                _drop_nulls(item[key], below)
    elif isinstance(item, list) and schema and schema.get("items"):
        for entry in item:
            _drop_nulls(entry, schema["items"])


def _default(item: Any, schema: Object) -> None:
    if isinstance(item, dict):
        for key, below in (schema.get("properties") or {}).items():
            unset = key not in item or (item[key] is None and not below.get("nullable"))
            if unset and "default" in below:
                item[key] = copy.deepcopy(below["default"])
            if key in item:
                _default(item[key], below)
        if isinstance(schema.get("additionalProperties"), dict):
            for value in item.values():
                _default(value, schema["additionalProperties"])
    elif isinstance(item, list) and schema.get("items"):
        for entry in item:
            _default(entry, schema["items"])


def _normalize(item: Any, schema: Object) -> None:
    """Write quantities canonically and leave out empty optional lists and maps, as encoding in Go does."""
    if isinstance(item, list):
        for entry in item:
            _normalize(entry, schema.get("items") or {})
    if not isinstance(item, dict):
        return
    for key in list(item):
        below = child_schema(schema, key)
        if below is None:
            continue
        bare = below.get("type") == "array" or (below.get("type") == "object" and "properties" not in below)
        if item[key] in ([], {}) and bare and key not in schema.get("required", ()):
            del item[key]
        elif below.get("format") == "quantity":
            item[key] = quantities.canonical(item[key])
        else:
            _normalize(item[key], below)
