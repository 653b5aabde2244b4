"""x-kubernetes-validations: rules in CEL, evaluated on values that are typed as their schema says."""

import functools
from typing import Any

import cel

from minicluster.errors import FieldError
from minicluster.resources import Object

_REASONS = {"FieldValueForbidden": "Forbidden", "FieldValueRequired": "Required value"}


@functools.lru_cache(maxsize=1024)
def compiled(rule: str) -> Any:
    """ValueError where the rule is no CEL."""
    return cel.compile(rule)


def typed(value: Any, schema: Object | None) -> Any:
    """JSON knows one kind of number, CEL two: whole numbers of number fields become doubles."""
    schema = schema or {}
    if isinstance(value, dict):
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        fallback = others if isinstance(others, dict) else None
        return {key: typed(item, properties.get(key, fallback)) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item, schema.get("items")) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and schema.get("type") == "number":
        return float(value)
    if isinstance(value, float) and schema.get("type") == "integer":
        return int(value)
    return value


def root_value(item: Object, schema: Object) -> Object:
    """At the root of an object, rules see of its metadata only name and generateName."""
    names = {key: item["metadata"][key] for key in ("name", "generateName") if key in item["metadata"]}
    return {**typed(item, schema), "metadata": names}


def is_transition(rule: Object) -> bool:
    return "oldSelf" in rule["rule"]


def broken(rule: Object, value: Any, old: Any, schema: Object, path: str) -> FieldError | None:
    """The error of a rule that does not hold."""
    told = " ".join((rule.get("message") or "").split("\n")).strip()
    variables = {"self": value, "oldSelf": old} if is_transition(rule) else {"self": value}
    try:
        held = compiled(rule["rule"]).execute(variables)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        what = f"no such key: {error.args[0]}" if isinstance(error, KeyError) else error
        why = f"{what} evaluating rule: {told or rule['rule'].strip()}"
        return FieldError(path, "FieldValueInvalid", f'Invalid value: "{schema.get("type", "")}": {why}')
    if held is True:
        return None
    why = told or _message(rule, variables) or f"failed rule: {rule['rule'].strip()}"
    reason = rule.get("reason", "FieldValueInvalid")
    word = _REASONS.get(reason, f'Invalid value: "{schema.get("type", "")}"')
    return FieldError(f"{path}{rule.get('fieldPath', '')}".removeprefix("<nil>."), reason, f"{word}: {why}")


def _message(rule: Object, variables: Object) -> str:
    if not rule.get("messageExpression"):
        return ""
    try:
        return str(compiled(rule["messageExpression"]).execute(variables)).strip()
    except (KeyError, RuntimeError, TypeError, ValueError):
        return ""
