"""What an HTTP request asks of the API: verb, kind, place. Paths in, words of Kubernetes out."""

from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_TRUE = ("1", "true")


def is_true(text: str | None) -> bool:
    return (text or "").lower() in _TRUE


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    verb: str
    query: Mapping[str, str]
    group: str = ""
    version: str = ""
    plural: str = ""
    """"" where the path names no kind: /version, /apis, /openapi/v3 ..."""
    namespace: str | None = None
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As RBAC rules name it."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


def parse(method: str, path: str, query: Mapping[str, str]) -> Call:
    parts = [part for part in path.split("/") if part]
    verb = _VERBS.get(method, method.lower())
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Call(method, path, verb, query)
    namespace, rest = _namespace(rest)
    plural, name, subresource = (*rest, "", "", "")[:3]
    if subresource and len(rest) > 3:
        subresource = "/".join(rest[2:])
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if method == "GET" and is_true(query.get("watch")):
        verb = "watch"
    return Call(
        method, path, verb, query, group, version, plural, namespace, name or _selected(query, verb), subresource
    )


def _namespace(rest: list[str]) -> tuple[str | None, list[str]]:
    below = rest[2:]
    if rest[0] != "namespaces" or not below or below[0] in ("status", "finalize"):
        return None, rest
    return rest[1], below


def _selected(query: Mapping[str, str], verb: str) -> str:
    """The one name that a field selector allows; rules with resourceNames go by it."""
    if verb not in ("list", "watch", "deletecollection"):
        return ""
    fields = dict(part.split("=", 1) for part in query.get("fieldSelector", "").split(",") if part.count("=") == 1)
    return fields.get("metadata.name", "")
