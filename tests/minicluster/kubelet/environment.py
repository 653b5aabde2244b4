"""A container's environment variables, out of its spec and what the spec refers to."""

import base64
import math
import re
from collections.abc import Mapping
from fractions import Fraction

from minicluster import quantities
from minicluster.api import Api, Object
from minicluster.selectors import value_at

_VARIABLE = re.compile(r"\$(\$|\(([A-Za-z0-9_.-]+)\))")


class ConfigError(Exception):
    """Why a container cannot be created: CreateContainerConfigError."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """$(NAME) of known names; $$ is an escaped dollar."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else env.get(found[2], found[0])

    return _VARIABLE.sub(value, text)


def environment(api: Api, pod: Object, container: Object, given: Mapping[str, str]) -> dict[str, str]:
    """Raises ConfigError where something referred to is missing."""
    env = dict(given)
    namespace = pod["metadata"]["namespace"]
    for source in container.get("envFrom") or ():
        for kind in ("ConfigMap", "Secret"):
            reference = source.get(kind[0].lower() + kind[1:] + "Ref")
            if reference:
                found = values_of(api, kind, namespace, reference)
                env |= {source.get("prefix", "") + key: value for key, value in (found or {}).items()}
    for entry in container.get("env") or ():
        if entry.get("valueFrom"):
            value = _referred(api, pod, container, entry["valueFrom"])
        else:
            value = expand(entry.get("value") or "", env)
        if value is not None:
            env[entry["name"]] = value
    return env


def values_of(api: Api, kind: str, namespace: str, reference: Object) -> dict[str, str] | None:
    """The texts of a ConfigMap or Secret, None for an optional one that is not there."""
    item = api.find(kind, namespace, reference["name"])
    if item is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    data: dict[str, str] = item.get("data") or {}
    if kind == "Secret":
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
    return data


def _referred(api: Api, pod: Object, container: Object, source: Object) -> str | None:
    for kind in ("ConfigMap", "Secret"):
        reference = source.get(kind[0].lower() + kind[1:] + "KeyRef")
        if reference:
            found = values_of(api, kind, pod["metadata"]["namespace"], reference)
            if found is None or reference["key"] not in found:
                if reference.get("optional"):
                    return None
                place = f"{pod['metadata']['namespace']}/{reference['name']}"
                raise ConfigError(f"couldn't find key {reference['key']} in {kind} {place}")
            return found[reference["key"]]
    if source.get("fieldRef"):
        return field_of(pod, source["fieldRef"]["fieldPath"])
    return _resource(container, source["resourceFieldRef"])


def field_of(pod: Object, path: str) -> str:
    """The downward API."""
    if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    if path == "status.podIPs":
        path = "status.podIP"
    value = value_at(pod, path)
    return "" if value is None else str(value)


def _resource(container: Object, reference: Object) -> str:
    """In whole units of the divisor, rounded up; a limit that is not set is the node's."""
    kind, _, name = reference["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(kind) or {}
    default = {"cpu": "16", "memory": "64Gi"}.get(name, "0") if kind == "limits" else "0"
    divisor = quantities.parse(reference.get("divisor") or "1") or Fraction(1)
    return str(math.ceil(quantities.parse(amounts.get(name, default)) / divisor))
