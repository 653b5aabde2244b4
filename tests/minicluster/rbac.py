"""Who may do what: Roles, ClusterRoles and their bindings as they stand in the store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minicluster.calls import Call
from minicluster.errors import ApiError
from minicluster.resources import Object, Resources
from minicluster.selectors import by_label_selector
from minicluster.store import Store

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_WORKLOADS = ("", "apps", "autoscaling", "batch", "networking.k8s.io", "policy", "discovery.k8s.io")


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()


def user_named(name: str, groups: Sequence[str] = ()) -> User:
    """With the groups that a name brings by itself."""
    own: tuple[str, ...] = ()
    if name.startswith("system:serviceaccount:"):
        own = ("system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}")
    return User(name, (*groups, *own, AUTHENTICATED))


def service_account(namespace: str, name: str) -> User:
    return user_named(f"system:serviceaccount:{namespace}:{name}")


class Rbac:
    def __init__(self, store: Store, resources: Resources) -> None:
        self._store = store
        self._resources = resources

    def check(self, user: User, call: Call, verb: str = "") -> None:
        """ApiError 403 in the words of the API server where the user may not."""
        verb = verb or call.verb
        if not call.plural:
            if not self.allows_path(user, verb, call.path):
                raise ApiError(403, "Forbidden", f'forbidden: User "{user.name}" cannot {verb} path "{call.path}"')
        elif not self.allows(user, verb, call.group, call.resource, call.namespace, call.name):
            raise _forbidden(user, verb, call)

    def allows(self, user: User, verb: str, group: str, resource: str, namespace: str | None, name: str = "") -> bool:
        return any(
            _covers(rule.get("verbs"), verb)
            and _covers(rule.get("apiGroups"), group)
            and _covers_resource(rule.get("resources"), resource)
            and (not rule.get("resourceNames") or name in rule["resourceNames"])
            for rule in self.rules(user, namespace)
        )

    def allows_path(self, user: User, verb: str, path: str) -> bool:
        return any(
            _covers(rule.get("verbs"), verb)
            and any(_path_matches(known, path) for known in rule.get("nonResourceURLs") or ())
            for rule in self.rules(user, None)
        )

    def rules(self, user: User, namespace: str | None) -> Iterator[Object]:
        """The rules that hold for a user in a namespace; without one, cluster-wide rules only."""
        if MASTERS in user.groups:
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
            return
        bindings = self._store.items(self._resources["ClusterRoleBinding"])
        if namespace:
            bindings = bindings + self._store.items(self._resources["RoleBinding"], namespace)
        for binding in bindings:
            if any(_is_subject(subject, user, binding) for subject in binding.get("subjects") or ()):
                yield from self._role_rules(binding)

    def _role_rules(self, binding: Object) -> list[Object]:
        kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
        namespace = binding["metadata"].get("namespace") if kind == "Role" else None
        role = self._store.find(self._resources[kind], namespace, name)
        if role is None:
            return []
        rules: list[Object] = list(role.get("rules") or ())
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            chosen = by_label_selector(selector)
            for other in self._store.items(self._resources["ClusterRole"]):
                rules += (other.get("rules") or ()) if chosen(other) else ()
        return rules


def _covers(patterns: Sequence[str] | None, value: str) -> bool:
    return "*" in (patterns or ()) or value in (patterns or ())


def _covers_resource(patterns: Sequence[str] | None, resource: str) -> bool:
    _, _, subresource = resource.partition("/")
    return _covers(patterns, resource) or bool(subresource and f"*/{subresource}" in (patterns or ()))


def _path_matches(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path.rstrip("/") == pattern.rstrip("/")


def _is_subject(subject: Object, user: User, binding: Object) -> bool:
    if subject["kind"] == "ServiceAccount":
        namespace = subject.get("namespace") or binding["metadata"].get("namespace")
        return user.name == f"system:serviceaccount:{namespace}:{subject['name']}"
    return subject["name"] in user.groups if subject["kind"] == "Group" else bool(subject["name"] == user.name)


def _forbidden(user: User, verb: str, call: Call) -> ApiError:
    qualified = f"{call.plural}.{call.group}" if call.group else call.plural
    named = f' "{call.name}"' if call.name else ""
    where = f'in the namespace "{call.namespace}"' if call.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {verb} resource "{call.resource}" in API group "{call.group}" {where}'
    details = {"name": call.name, "group": call.group, "kind": call.plural}
    return ApiError(
        403, "Forbidden", f"{qualified}{named} is forbidden: {why}", {k: v for k, v in details.items() if v}
    )


def first_roles() -> list[tuple[str, Object]]:
    """(kind, object) of what every cluster begins with: administrators, the roles for people, discovery for all."""
    paths = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
    public = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    themselves = {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    roles: dict[str, list[Object]] = {
        "cluster-admin": [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "system:discovery": [{"verbs": ["get"], "nonResourceURLs": paths + public}],
        "system:basic-user": [
            {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": reviews},
            themselves,
        ],
    }
    found = [("ClusterRole", {"metadata": {"name": name}, "rules": rules}) for name, rules in roles.items()]
    found += _roles_for_people()
    subjects = {"cluster-admin": MASTERS, "system:discovery": AUTHENTICATED, "system:basic-user": AUTHENTICATED}
    for name, group in subjects.items():
        subject = {"kind": "Group", "apiGroup": GROUP, "name": group}
        role = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        found.append(("ClusterRoleBinding", {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}))
    return found


def _roles_for_people() -> list[tuple[str, Object]]:
    """view, edit and admin, each with everything below it; other ClusterRoles join by their labels."""
    shown = [
        *("pods", "pods/log", "pods/status", "services", "configmaps", "endpoints", "events", "serviceaccounts"),
        *("persistentvolumeclaims", "resourcequotas", "limitranges", "namespaces", "deployments", "deployments/scale"),
        *("replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "horizontalpodautoscalers", "ingresses"),
        *("networkpolicies", "poddisruptionbudgets", "endpointslices"),
    ]
    changed = [*shown, "secrets", "pods/eviction"]
    bindings = {"verbs": ["*"], "apiGroups": [GROUP], "resources": ["roles", "rolebindings"]}
    own: dict[str, list[Object]] = {
        "view": [{"verbs": list(_READ), "apiGroups": list(_WORKLOADS), "resources": shown}],
        "edit": [{"verbs": [*_READ, *_WRITE], "apiGroups": list(_WORKLOADS), "resources": changed}],
        "admin": [bindings],
    }
    found = []
    for index, (name, rules) in enumerate(own.items()):
        labels = {f"{GROUP}/aggregate-to-{name}": "true"}
        below = list(own)[: index + 1]
        chosen = [{"matchLabels": {f"{GROUP}/aggregate-to-{word}": "true"}} for word in below]
        metadata = {"name": f"system:aggregate-to-{name}", "labels": labels}
        found.append(("ClusterRole", {"metadata": metadata, "rules": rules}))
        aggregation = {"clusterRoleSelectors": chosen}
        found.append(("ClusterRole", {"metadata": {"name": name}, "aggregationRule": aggregation, "rules": []}))
    return found
