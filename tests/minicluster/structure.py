"""What makes a schema structural: the checks on a schema that a CustomResourceDefinition brings."""

import json
import re
from typing import Any

from minicluster import cel_rules, schema, shaping
from minicluster.errors import FieldError, forbidden_field, invalid_value, not_supported, required
from minicluster.resources import Object

_ROOT_FIELDS = ("apiVersion", "kind", "metadata")
_LIST_TYPES = ("atomic", "map", "set")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COMPARED = re.compile(r"\bself((?:\.[a-zA-Z_]\w*)+)\s*(==|!=)\s*\{")
"""An object against a map."""
_CHAIN = re.compile(r"\bself((?:\.[a-zA-Z_]\w*)+)(\s*\()?")


def schema_errors(root: Object, path: str) -> list[FieldError]:
    found = []
    if root.get("type") != "object":
        found.append(invalid_value(f"{path}.type", f'"{root.get("type", "")}"', "must be object at the root"))
    metadata = (root.get("properties") or {}).get("metadata") or {}
    others = set(metadata.get("properties") or {}) - {"name", "generateName"}
    if others:
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        found.append(forbidden_field(f"{path}.properties[metadata]", why))
    return found + _level(root, path, "at the root")


def _level(node: Object, path: str, where: str) -> list[FieldError]:
    found = _type_errors(node, path, where) + _word_errors(node, path)
    found += _list_errors(node, path) + _rule_errors(node, path) + _default_errors(node, path)
    for key, below in (node.get("properties") or {}).items():
        if where != "at the root" or key not in _ROOT_FIELDS:
            found += _level(below, f"{path}.properties[{key}]", "for specified object fields")
    if isinstance(node.get("items"), dict):
        found += _level(node["items"], f"{path}.items", "for specified array items")
    if isinstance(node.get("additionalProperties"), dict):
        found += _level(node["additionalProperties"], f"{path}.additionalProperties", "for specified object fields")
    return found


def _type_errors(node: Object, path: str, where: str) -> list[FieldError]:
    free = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    kind = node.get("type")
    if not kind:
        return [] if free else [required(f"{path}.type", f"must not be empty {where}")]
    if kind not in _TYPES:
        return [not_supported(f"{path}.type", kind, ", ".join(f'"{name}"' for name in _TYPES))]
    if kind == "array" and not node.get("items"):
        return [required(f"{path}.items", "must be specified")]
    return []


def _word_errors(node: Object, path: str) -> list[FieldError]:
    """Words of JSON schema that structural schemas may not use."""
    found = []
    if node.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(forbidden_field(f"{path}.uniqueItems", why))
    if node.get("properties") and node.get("additionalProperties") is not None:
        why = "additionalProperties and properties are mutual exclusive"
        found.append(forbidden_field(f"{path}.additionalProperties", why))
    found += [
        forbidden_field(f"{path}.{word}", f"{word} is not supported")
        for word in ("$ref", "definitions")
        if word in node
    ]
    for word in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(node.get(word) or ()):
            found += _inside_logic(part, f"{path}.{word}[{index}]", bool(node.get("x-kubernetes-int-or-string")))
    try:
        schema.pattern(node.get("pattern", ""))
    except re.error as error:
        found.append(
            invalid_value(
                f"{path}.pattern", json.dumps(node["pattern"]), f"must be a valid regular expression: {error}"
            )
        )
    return found


def _inside_logic(part: Object, path: str, types_allowed: bool) -> list[FieldError]:
    """Below allOf, anyOf and oneOf a schema may only judge, not describe."""
    words = ["default", "nullable", "additionalProperties", "description"] + ([] if types_allowed else ["type"])
    found = [forbidden_field(f"{path}.{word}", "must be empty to be structural") for word in words if word in part]
    for key, below in (part.get("properties") or {}).items():
        found += _inside_logic(below, f"{path}.properties[{key}]", types_allowed)
    return found


def _list_errors(node: Object, path: str) -> list[FieldError]:
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys")
    items: Any = node.get("items") or {}
    if kind is None:
        return [required(f"{path}.x-kubernetes-list-type", "must be map if map keys are given")] if keys else []
    if kind not in _LIST_TYPES:
        return [not_supported(f"{path}.x-kubernetes-list-type", kind, ", ".join(f'"{name}"' for name in _LIST_TYPES))]
    if node.get("type") != "array":
        return [
            invalid_value(
                f"{path}.type", f'"{node.get("type", "")}"', "must be array if x-kubernetes-list-type is specified"
            )
        ]
    if kind != "map":
        return []
    if not keys:
        return [required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")]
    found = []
    for index, key in enumerate(keys):
        below = (items.get("properties") or {}).get(key)
        if below is None:
            why = "entries must all be names of item properties"
            found.append(invalid_value(f"{path}.x-kubernetes-list-map-keys[{index}]", f'"{key}"', why))
        elif key not in items.get("required", ()) and "default" not in below:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            found.append(required(f"{path}.items.properties[{key}].default", why))
    return found


def _default_errors(node: Object, path: str) -> list[FieldError]:
    if "default" not in node:
        return []
    value = node["default"]
    if value is None and not node.get("nullable"):
        return [invalid_value(f"{path}.default", "null", "must not be null")]
    unknown = shaping.unknown_fields(value, node)
    if unknown:
        return [
            invalid_value(f"{path}.default", json.dumps(value), f"must not have unknown fields: {', '.join(unknown)}")
        ]
    return _wrong_default(value, node, f"{path}.default")


def _wrong_default(value: Any, node: Object, path: str) -> list[FieldError]:
    """A default is judged as it stands, before those below it fill it in, and as if it replaced itself."""
    return schema.errors(node, value, None, path) or schema.errors(node, value, value, path)


def _rule_errors(node: Object, path: str) -> list[FieldError]:
    found = []
    for index, rule in enumerate(node.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{index}]"
        if not rule.get("rule", "").strip():
            found.append(required(f"{where}.rule"))
            continue
        for word in ("rule", "messageExpression"):
            why = _compile_error(rule[word], node) if rule.get(word) else ""
            if why:
                found.append(invalid_value(f"{where}.{word}", json.dumps(rule[word]), f"compilation failed: {why}"))
        if not rule.get("message") and "\n" in rule["rule"].strip() and not rule.get("messageExpression"):
            found.append(required(f"{where}.message", "message must be specified if rule contains line breaks"))
    return found


def _compile_error(rule: str, node: Object) -> str:
    try:
        cel_rules.compiled(rule)
    except ValueError as error:
        return str(error)
    for found in _CHAIN.finditer(rule):
        names = found[1].strip(".").split(".")
        missing = _missing(names[:-1] if found[2] else names, node)
        if missing:
            return f"undefined field '{missing}'"
    for found in _COMPARED.finditer(rule):
        if _opaque(found[1].strip(".").split("."), node):
            return f"found no matching overload for '_{found[2]}_' applied to an object of unknown fields and a map"
    return ""


def _opaque(names: list[str], node: Object) -> bool:
    """Whether a chain leads to an object of which nothing is known."""
    for name in names:
        node = (node.get("properties") or {}).get(name) or {}
    return bool(node.get("x-kubernetes-preserve-unknown-fields"))


def _missing(names: list[str], node: Object | None) -> str:
    """The first name of a chain that the schema does not have, "" where all is known or cannot be."""
    for name in names:
        if not node or node.get("x-kubernetes-preserve-unknown-fields") or "properties" not in node:
            return ""
        if name == "metadata":
            return ""
        known = {re.sub(r"\W", "_", key): below for key, below in node["properties"].items()}
        if name not in known and not name.startswith("__"):
            return name
        node = known.get(name)
    return ""
