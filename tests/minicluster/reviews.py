"""Questions about rights and identity: `kubectl auth can-i`, `kubectl auth whoami`, tokens of service accounts."""

import datetime

from minicluster.errors import bad_request
from minicluster.identity import Tokens
from minicluster.rbac import Rbac, User, user_named
from minicluster.resources import Object


def answer(kind: str, body: Object, user: User, rbac: Rbac, tokens: Tokens) -> Object:
    spec = body.get("spec") or {}
    if kind == "SelfSubjectRulesReview":
        status = _rules(user, spec.get("namespace", ""), rbac)
    elif kind == "SelfSubjectReview":
        status = {"userInfo": _info(user)}
    elif kind == "TokenReview":
        found = tokens.user(spec.get("token", ""))
        status = {"authenticated": found is not None, **({"user": _info(found)} if found else {})}
    else:
        asked = (
            user if kind == "SelfSubjectAccessReview" else user_named(spec.get("user", ""), spec.get("groups") or [])
        )
        status = {"allowed": _allowed(spec, asked, rbac)}
    return {**body, "kind": kind, "metadata": {"creationTimestamp": None}, "status": status}


def _info(user: User) -> Object:
    return {"username": user.name, "groups": list(user.groups)}


def _allowed(spec: Object, user: User, rbac: Rbac) -> bool:
    if "nonResourceAttributes" in spec:
        asked = spec["nonResourceAttributes"]
        return rbac.allows_path(user, asked.get("verb", ""), asked.get("path", ""))
    asked = spec.get("resourceAttributes")
    if asked is None:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    resource = "/".join(filter(None, (asked.get("resource", ""), asked.get("subresource"))))
    namespace, name = asked.get("namespace") or None, asked.get("name", "")
    return rbac.allows(user, asked.get("verb", ""), asked.get("group", ""), resource, namespace, name)


def _rules(user: User, namespace: str, rbac: Rbac) -> Object:
    rules = list(rbac.rules(user, namespace))
    return {
        "resourceRules": [rule for rule in rules if rule.get("resources")],
        "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
        "incomplete": False,
    }


def token_request(body: Object, token: str) -> Object:
    seconds = (body.get("spec") or {}).get("expirationSeconds") or 3600
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    status = {"token": token, "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**body, "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "status": status}
