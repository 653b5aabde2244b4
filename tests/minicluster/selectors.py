"""Label and field selectors: from text or from a LabelSelector to a predicate over objects."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from minicluster.errors import bad_request
from minicluster.resources import Object

Predicate = Callable[[Object], bool]

_TERM = re.compile(r"(?:[^,(]|\([^)]*\))+")
_SET_TERM = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")
_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")


def labels_of(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}


def has_labels(item: Object, wanted: Mapping[str, str]) -> bool:
    labels = labels_of(item)
    return all(labels.get(key) == value for key, value in wanted.items())


def by_labels(text: str | None) -> Predicate:
    terms = [_term(part.strip()) for part in _TERM.findall(text or "")]
    return lambda item: all(term(labels_of(item)) for term in terms)


def _term(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET_TERM.match(text):
        values = {value.strip() for value in found[3].split(",")}
        return _membership(found[1], found[2] == "in", values)
    if "!=" in text:
        key, value = text.split("!=", 1)
        return _membership(key, False, {value.strip()})
    if "=" in text:
        key, value = re.split("==?", text, maxsplit=1)
        return _membership(key, True, {value.strip()})
    absent = text.startswith("!")
    key = _known_key(text.removeprefix("!"))
    return lambda labels: (key not in labels) == absent


def _membership(key: str, wanted: bool, values: set[str]) -> Callable[[Mapping[str, str]], bool]:
    key = _known_key(key)
    return lambda labels: (key in labels and labels[key] in values) if wanted else labels.get(key) not in values


def _known_key(key: str) -> str:
    if not _KEY.match(key.strip()):
        raise bad_request(
            f'unable to parse requirement: <nil>: Invalid value: "{key.strip()}": name part must be valid'
        )
    return key.strip()


def by_label_selector(selector: Object | None) -> Predicate:
    """The predicate of a LabelSelector with matchLabels and matchExpressions; none selects nothing."""
    if selector is None:
        return lambda item: False
    tests = [_membership(key, True, {value}) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression["key"], expression["operator"], set(expression.get("values") or ())
        if operator in ("In", "NotIn"):
            tests.append(_membership(key, operator == "In", values))
        else:
            tests.append(_term(key if operator == "Exists" else f"!{key}"))
    return lambda item: all(test(labels_of(item)) for test in tests)


def selector_text(selector: Object | None) -> str:
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def value_at(item: Any, path: str) -> Any:
    """The value at a dotted path such as ".spec.replicas", None where there is none."""
    for key in path.strip(".").split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item


def by_fields(text: str | None, allowed: Callable[[str], bool]) -> Predicate:
    terms = []
    for part in filter(None, (text or "").split(",")):
        path, _, value = re.split("(!=|==?)", part, maxsplit=1) if "=" in part else (part, "", "")
        if not allowed(path):
            raise bad_request(
                f'field label not supported: {path}; unable to find "{part}" that matches a field selector'
            )
        terms.append((path, value, "!=" in part))

    def matches(item: Object) -> bool:
        found = ((value_at(item, path), value, negated) for path, value, negated in terms)
        return all((("" if there is None else str(there)) == value) != negated for there, value, negated in found)

    return matches
