"""Structural schemas: validation as the API server does it, with its words.

Pruning and defaulting are in shaping.py, rules in CEL in cel_rules.py.
"""

import functools
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from minicluster import builtin, cel_rules, quantities
from minicluster.errors import FieldError, invalid_value, not_supported, required
from minicluster.resources import Object, Resource

_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_BLOCKING = frozenset({"FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"})
_TYPES: dict[str, type] = {"string": str, "boolean": bool, "object": dict, "array": list}
_END = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$")
"""Escapes and classes, to be left alone, and the ends between them."""


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """A Go pattern as Python's: there $ is the end and nothing else, and classes such as \\d are ASCII."""
    return re.compile(_END.sub(lambda found: r"\Z" if found[0] in ("$", r"\z") else found[0], text), re.ASCII)


def child_schema(schema: Object | None, key: str) -> Object | None:
    if schema is None:
        return None
    found = (schema.get("properties") or {}).get(key)
    if found is None and isinstance(schema.get("additionalProperties"), dict):
        found = schema["additionalProperties"]
    return found if isinstance(found, dict) else None


def of_resource(resource: Resource) -> Object:
    return resource.schema if resource.schema is not None else builtin.schema_of(resource)


@dataclass(frozen=True)
class _Place:
    """Where a check stands: the path, what was there before, and where errors go."""

    path: str
    old: Any
    errors: list[FieldError] = field(repr=False)
    rules: bool
    unchanged: bool = False
    """An update does not answer for values it leaves as they are; only transition rules still count."""

    def refuse(self, error: FieldError) -> None:
        if not self.unchanged:
            self.errors.append(error)

    def below(self, part: str, value: Any, old: Any) -> "_Place":
        path = f"{self.path}{part}" if part.startswith("[") or not self.path else f"{self.path}.{part}"
        unchanged = self.unchanged or (old is not None and old == value)
        return _Place(path, old, self.errors, self.rules, unchanged)  # in a third of dataclasses.replace's time


def errors(schema: Object, item: Any, old: Object | None, path: str = "") -> list[FieldError]:
    """What the schema has against an object, or against the value at a path; `old` is what an update replaces."""
    found: list[FieldError] = []
    _check(item, schema, _Place(path, old, found, rules=False))
    if any(error.reason in _BLOCKING for error in found):
        if _has_rules(schema):
            found.append(FieldError("<nil>", "FieldValueInvalid", f"Invalid value: null: {_UNCHECKED}"))
        return found
    _check(item, schema, _Place(path, old, found, rules=True))
    return found


def _has_rules(schema: Object) -> bool:
    return "x-kubernetes-validations" in schema or any(
        _has_rules(below) for below in (schema.get("properties") or {}).values()
    )


def _check(value: Any, schema: Object, place: _Place) -> None:
    if value is None and schema.get("nullable"):
        return
    if place.rules:
        _check_rules(value, schema, place)
    elif not _check_type(value, schema, place):
        return
    elif not place.unchanged:
        _check_value(value, schema, place)
        _check_combined(value, schema, place)
    if isinstance(value, list):
        _check_items(value, schema, place)
    elif isinstance(value, dict):
        for key, below in value.items():
            known = child_schema(schema, key)
            if known is not None:
                old = place.old.get(key) if isinstance(place.old, dict) else None
                _check(below, known, place.below(key, below, old))


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    for name, kind in (("boolean", bool), ("string", str), ("object", dict), ("array", list), ("integer", int)):
        if isinstance(value, kind):
            return name
    return "number"


def _check_type(value: Any, schema: Object, place: _Place) -> bool:
    wanted = schema.get("type")
    found = _json_type(value)
    if schema.get("x-kubernetes-int-or-string"):
        good, wanted = found in ("integer", "string") or schema.get("format") == "quantity", "integer or string"
    elif wanted == "number":
        good = found in ("integer", "number")
    elif wanted == "integer":
        good = found == "integer" or (isinstance(value, float) and value.is_integer())
    else:
        good = not wanted or (isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or found != "boolean"))
    if good and schema.get("format") in ("date-time", "quantity", "byte"):
        good, wanted = _has_format(value, schema["format"]), f"{wanted} with format {schema['format']}"
    if not good:
        why = f'{place.path} in body must be of type {wanted}: "{found}"'
        place.refuse(FieldError(place.path, "FieldValueTypeInvalid", f'Invalid value: "{found}": {why}'))
    return good


def _has_format(value: Any, name: str) -> bool:
    try:
        if name == "quantity":
            quantities.parse(value)
        elif name == "date-time":
            datetime.fromisoformat(value)
    except ValueError:
        return False
    return name != "byte" or re.fullmatch(r"[A-Za-z0-9+/\s]*={0,2}\s*", value) is not None


def _check_value(value: Any, schema: Object, place: _Place) -> None:
    path = place.path
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(json.dumps(choice) for choice in schema["enum"])
        place.refuse(not_supported(path, value, allowed))
    if isinstance(value, str):
        _check_text(value, schema, place)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(value, schema, place)
    elif isinstance(value, list):
        _check_size(len(value), schema, "Items", place)
        _check_unique(value, schema, place)
    elif isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                place.refuse(required(f"{path}.{name}" if path else name))
        _check_size(len(value), schema, "Properties", place)


def _check_text(value: str, schema: Object, place: _Place) -> None:
    shown = json.dumps(value)
    if len(value) < schema.get("minLength", 0):
        why = f"{place.path} in body should be at least {schema['minLength']} chars long"
        place.refuse(invalid_value(place.path, shown, why))
    if len(value) > schema.get("maxLength", len(value)):
        told = f"Too long: may not be more than {schema['maxLength']} bytes"
        place.refuse(FieldError(place.path, "FieldValueTooLong", told))
    if "pattern" in schema and not pattern(schema["pattern"]).search(value):
        why = f"{place.path} in body should match '{schema['pattern']}'"
        place.refuse(invalid_value(place.path, shown, why))


def _check_number(value: float, schema: Object, place: _Place) -> None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        word = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        place.refuse(invalid_value(place.path, value, f"{place.path} in body should be {word} {low}"))
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        word = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        place.refuse(invalid_value(place.path, value, f"{place.path} in body should be {word} {high}"))
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        why = f"{place.path} in body should be a multiple of {schema['multipleOf']}"
        place.refuse(invalid_value(place.path, value, why))


def _check_size(count: int, schema: Object, what: str, place: _Place) -> None:
    low, high = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    if count < low:
        why = f"{place.path} in body should have at least {low} {what.lower()}"
        place.refuse(invalid_value(place.path, count, why))
    if high is not None and count > high:
        told = f"Too many: {count}: must have at most {high} items"
        place.refuse(FieldError(place.path, "FieldValueTooMany", told))


def _check_unique(value: list[Any], schema: Object, place: _Place) -> None:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return
    seen: list[Any] = []
    for index, entry in enumerate(value):
        known = {key: entry.get(key) for key in keys} if kind == "map" and isinstance(entry, dict) else entry
        if known in seen:
            told = f"Duplicate value: {json.dumps(known, separators=(',', ':'))}"
            place.refuse(FieldError(f"{place.path}[{index}]", "FieldValueDuplicate", told))
        seen.append(known)


def _check_combined(value: Any, schema: Object, place: _Place) -> None:
    for part in schema.get("allOf", ()):
        _check(value, part, place)
    for word, least, most in (("anyOf", "at least", None), ("oneOf", "one and only", 1)):
        if not schema.get(word):
            continue
        fitting = sum(not errors(part, value, None) for part in schema[word])
        if fitting == 0 or (most and fitting > most):
            why = f"{place.path} in body must validate {least} one schema ({word})"
            place.refuse(
                invalid_value(place.path, f'"{_json_type(value)}"', why.replace("one and only one", "one and only one"))
            )
    if schema.get("not") and not errors(schema["not"], value, None):
        why = f"{place.path} in body must not validate the schema (not)"
        place.refuse(invalid_value(place.path, f'"{_json_type(value)}"', why))


def _check_items(value: list[Any], schema: Object, place: _Place) -> None:
    if not schema.get("items"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    for index, entry in enumerate(value):
        old = _same_entry(entry, place.old, keys) if keys and isinstance(entry, dict) else None
        _check(entry, schema["items"], place.below(f"[{index}]", entry, old))


def _same_entry(entry: Object, before: Any, keys: list[str]) -> Any:
    """What an entry of an associative list was before; entries of other lists have no before."""
    wanted = [entry.get(key) for key in keys]
    entries = (other for other in before or () if isinstance(other, dict))
    return next((other for other in entries if [other.get(key) for key in keys] == wanted), None)


def _check_rules(value: Any, schema: Object, place: _Place) -> None:
    rules = schema.get("x-kubernetes-validations")
    if not rules:
        return
    convert = cel_rules.typed if place.path else cel_rules.root_value
    typed = convert(value, schema)
    old = None if place.old is None else convert(place.old, schema)
    for rule in rules:
        transition = cel_rules.is_transition(rule)
        if (transition and old is None) or (place.unchanged and not transition):
            continue
        error = cel_rules.broken(rule, typed, old, schema, place.path or "<nil>")
        if error is not None:
            place.errors.append(error)
