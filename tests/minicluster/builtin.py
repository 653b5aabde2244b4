"""Structural schemas of the built-in kinds, out of the typed models of the official Kubernetes client.

So the double knows every field and its type without a table of its own. Rules beyond types are in admission.py.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from kubernetes.client import models

from minicluster.resources import Object, Resource

_SIMPLE: dict[str, Object] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
}
ANYTHING: Object = {"x-kubernetes-preserve-unknown-fields": True}
INT_OR_STRING: Object = {"x-kubernetes-int-or-string": True}
QUANTITY: Object = {"x-kubernetes-int-or-string": True, "format": "quantity"}
QUANTITIES = frozenset(
    {"limits", "requests", "capacity", "allocatable", "hard", "used", "size_limit", "divisor", "allocated_resources"}
)
RECURSIVE = frozenset({"V1JSONSchemaProps"})
_MODEL_NAMES = {"Event": "CoreV1Event", "EndpointSlice": "V1EndpointSlice"}


def model_name(resource: Resource) -> str:
    return _MODEL_NAMES.get(resource.kind, resource.version.capitalize() + resource.kind)


@functools.cache
def schema_of(resource: Resource) -> Object:
    return inline(model_name(resource))


@functools.cache
def inline(name: str) -> Object:
    """The schema of a model with everything below it written out."""
    return model_schema(name, inline)


def model_schema(name: str, nested: Callable[[str], Object]) -> Object:
    if name in RECURSIVE:
        return {"type": "object", **ANYTHING}
    model: Any = getattr(models, name)
    known = dict(model.model_fields) | {field.alias: field for field in model.model_fields.values() if field.alias}
    properties: Object = {}
    required = []
    for attribute, type_name in model.openapi_types.items():
        field = known[attribute]
        described = {"description": field.description} if field.description else {}
        properties[model.attribute_map[attribute]] = {**_typed(attribute, type_name, field, nested), **described}
        if field.is_required():
            required.append(model.attribute_map[attribute])
    told = " ".join((model.__doc__ or "").partition("Attributes:")[0].split())
    described = {"description": told} if told else {}
    return {"type": "object", "properties": properties, **({"required": required} if required else {}), **described}


def _typed(attribute: str, type_name: str, field: Any, nested: Callable[[str], Object]) -> Object:
    if found := re.fullmatch(r"List\[(.+)\]", type_name):
        return {"type": "array", "items": _typed("", found[1], field, nested)}
    if found := re.fullmatch(r"Dict\[str, (.+)\]", type_name):
        values = QUANTITY if attribute in QUANTITIES else _typed("", found[1], field, nested)
        return {"type": "object", "additionalProperties": values}
    if attribute in QUANTITIES and type_name == "str":
        return QUANTITY
    if type_name in _SIMPLE:
        return _SIMPLE[type_name]
    if type_name == "object":
        return INT_OR_STRING if "int" in str(field.annotation) else ANYTHING
    return nested(type_name)


def metadata_schema() -> Object:
    return inline("V1ObjectMeta")
