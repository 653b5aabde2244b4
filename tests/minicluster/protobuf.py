"""Request bodies in Kubernetes' protobuf, which kubectl and helm send for some built-in kinds: decoded to JSON."""

import base64
from collections.abc import Iterator
from typing import Any

from minicluster.errors import ApiError, bad_request
from minicluster.resources import Object

MAGIC = b"k8s\x00"
Fields = dict[int, tuple[str, Any]]
"""Field number -> (name, type); a type in a list repeats, {"map": type} is a map from strings, Fields is a message."""

_OWNER: Fields = {1: ("kind", str), 3: ("name", str), 4: ("uid", str), 5: ("apiVersion", str), 6: ("controller", bool)}
_OWNER[7] = ("blockOwnerDeletion", bool)
_META: Fields = {
    1: ("name", str),
    2: ("generateName", str),
    3: ("namespace", str),
    5: ("uid", str),
    6: ("resourceVersion", str),
    7: ("generation", int),
    11: ("labels", {"map": str}),
    12: ("annotations", {"map": str}),
    13: ("ownerReferences", [_OWNER]),
    14: ("finalizers", [str]),
}
_PRECONDITIONS: Fields = {1: ("uid", str), 2: ("resourceVersion", str)}
_DELETE: Fields = {
    1: ("gracePeriodSeconds", int),
    2: ("preconditions", _PRECONDITIONS),
    3: ("orphanDependents", bool),
    4: ("propagationPolicy", str),
    5: ("dryRun", [str]),
}
_ATTRIBUTES: Fields = {
    1: ("namespace", str),
    2: ("verb", str),
    3: ("group", str),
    4: ("version", str),
    5: ("resource", str),
    6: ("subresource", str),
    7: ("name", str),
}
_PATH: Fields = {1: ("path", str), 2: ("verb", str)}
_RULE: Fields = {
    1: ("verbs", [str]),
    2: ("apiGroups", [str]),
    3: ("resources", [str]),
    4: ("resourceNames", [str]),
    5: ("nonResourceURLs", [str]),
}
_SUBJECT: Fields = {1: ("kind", str), 2: ("apiGroup", str), 3: ("name", str), 4: ("namespace", str)}
_ROLE_REF: Fields = {1: ("apiGroup", str), 2: ("kind", str), 3: ("name", str)}
_BINDING: Fields = {1: ("metadata", _META), 2: ("subjects", [_SUBJECT]), 3: ("roleRef", _ROLE_REF)}
_ROLE: Fields = {1: ("metadata", _META), 2: ("rules", [_RULE])}
_NAMES: Fields = {1: ("name", str)}
KINDS: dict[str, Fields] = {
    "Secret": {
        1: ("metadata", _META),
        2: ("data", {"map": bytes}),
        3: ("type", str),
        4: ("stringData", {"map": str}),
        5: ("immutable", bool),
    },
    "ConfigMap": {
        1: ("metadata", _META),
        2: ("data", {"map": str}),
        3: ("binaryData", {"map": bytes}),
        4: ("immutable", bool),
    },
    "Namespace": {1: ("metadata", _META), 2: ("spec", {1: ("finalizers", [str])})},
    "ServiceAccount": {1: ("metadata", _META), 3: ("imagePullSecrets", [_NAMES])},
    "DeleteOptions": _DELETE,
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _DELETE)},
    "SelfSubjectAccessReview": {
        1: ("metadata", _META),
        2: ("spec", {1: ("resourceAttributes", _ATTRIBUTES), 2: ("nonResourceAttributes", _PATH)}),
    },
    "SelfSubjectRulesReview": {1: ("metadata", _META), 2: ("spec", {1: ("namespace", str)})},
    "SelfSubjectReview": {1: ("metadata", _META)},
    "TokenRequest": {1: ("metadata", _META), 2: ("spec", {1: ("audiences", [str]), 4: ("expirationSeconds", int)})},
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
}


def decode(raw: bytes) -> Object:
    """A whole request body with its envelope; ApiError 415 for kinds that are not in the table."""
    try:
        envelope = dict(_wire(raw.removeprefix(MAGIC)))
        about = dict(_wire(envelope.get(1, b"")))
        kind, version = about.get(2, b"").decode(), about.get(1, b"").decode()
        if kind not in KINDS:
            raise ApiError(415, "UnsupportedMediaType", f"no protobuf for {kind}: known are {', '.join(KINDS)}")
        return {**_message(envelope.get(2, b""), KINDS[kind]), "kind": kind, "apiVersion": version}
    except (IndexError, UnicodeDecodeError) as error:
        raise bad_request(f"the body is no protobuf message of Kubernetes: {error}") from error


def _wire(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) as they stand: numbers, or bytes not yet understood."""
    place = 0
    while place < len(data):
        tag, place = _number(data, place)
        kind = tag & 7
        if kind == 0:
            value, place = _number(data, place)
            yield tag >> 3, value
            continue
        length = {1: 8, 5: 4}.get(kind)
        if length is None:
            length, place = _number(data, place)
        yield tag >> 3, data[place : place + length]
        place += length


def _number(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, place


def _value(value: Any, kind: Any) -> Any:
    if kind is str:
        return value.decode()
    if kind is bytes:
        return base64.b64encode(value).decode()
    if kind is bool:
        return bool(value)
    if kind is int:
        return value - (1 << 64) if value >> 63 else value
    return _message(value, kind)


def _message(data: bytes, fields: Fields) -> Object:
    found: Object = {}
    for number, value in _wire(data):
        name, kind = fields.get(number, ("", None))
        if kind is None:
            continue
        if isinstance(kind, list):
            found.setdefault(name, []).append(_value(value, kind[0]))
        elif isinstance(kind, dict) and "map" in kind:
            entry = dict(_wire(value))
            found.setdefault(name, {})[entry.get(1, b"").decode()] = _value(entry.get(2, b""), kind["map"])
        elif value not in (b"", 0) or name in ("metadata", "gracePeriodSeconds", "orphanDependents", "controller"):
            found[name] = _value(value, kind)
    return found
