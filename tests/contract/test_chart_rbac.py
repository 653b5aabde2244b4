"""The chart grants what the operator does and nothing else: rendered rules against the operator's source."""

import ast
from collections.abc import Iterator

import pytest

from autotrain_api import names
from autotrain_operator.handlers import CHILDREN
from autotrain_operator.kube import PATHS, Kube
from contract.chart import ROOT, render

SOURCE = ROOT / "operator/src/autotrain_operator"
VERBS = {"find": "get", "list_all": "list", "merge": "patch", "delete": "delete"}
"""Methods of Kube whose first argument is a kind -> the verb that they need."""
APPLIED = {"Deployment", "Service", "PodDisruptionBudget"}
"""Children that change with the spec: server-side apply asks for patch, and for create as well."""
DELETED = {"Job", "Deployment", "Service", "PodDisruptionBudget"}
"""What is stopped, or no longer wanted. Claims and ConfigMaps go with their owners."""
WATCHED = {(group, plural) for group, _, plural in CHILDREN} | {(names.GROUP, names.PLURAL)}
"""kopf lists what it watches."""
Right = tuple[str, str, str]
"""API group, resource, verb."""


def trees() -> Iterator[ast.Module]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield ast.parse(path.read_text(), str(path))


def literal(node: ast.expr) -> str | None:
    """A kind that stands in the source: "Job" or names.KIND."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value if node.value in PATHS else None
    return names.KIND if isinstance(node, ast.Attribute) and node.attr == "KIND" else None


def called() -> set[tuple[str, str]]:
    """(method of Kube, kind) of each call that names a kind, merges of a subresource left out."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in VERBS
                and node.args
            ):
                kind = literal(node.args[0])
                subresource = isinstance(node.args[-1], ast.Constant) and node.args[-1].value == "status"
                if kind and not subresource:
                    found.add((node.func.attr, kind))
    return found


def made() -> set[str]:
    """Kinds of the manifests in the source: a dict with apiVersion and kind, and metadata."""
    found = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                if "metadata" in keys and "kind" in keys and (kind := literal(keys["kind"])):
                    found.add(kind)
    return found


def right(kind: str, verb: str, subresource: str = "") -> Right:
    prefix, plural = PATHS[kind]
    parts = prefix.split("/")
    return (parts[2] if parts[1] == "apis" else "", plural + subresource, verb)


def needed() -> set[Right]:
    rights = {right(kind, VERBS[method]) for method, kind in called()}
    rights |= {right(kind, "create") for kind in made()}
    rights |= {right(kind, "get") for kind in made() - {"Event"}}  # whose is it, when there is one already
    rights |= {right(kind, "patch") for kind in APPLIED} | {right(kind, "delete") for kind in DELETED}
    rights |= {(group, plural, verb) for group, plural in WATCHED for verb in ("list", "watch")}
    rights |= {right("Job", "patch"), right(names.KIND, "patch", "/status")}
    return rights | {right("Event", "list"), right("Pod", "get", "/log")}


def granted(kind: str, *options: str) -> set[Right]:
    (role, *others) = [found for found in render(*options) if found["kind"] == kind and not is_for_users(found)]
    assert all(other["rules"] == role["rules"] for other in others)
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def is_for_users(role: dict[str, object]) -> bool:
    labels = role["metadata"]["labels"]  # type: ignore[index]
    return any(label.startswith("rbac.authorization.k8s.io/aggregate-to-") for label in labels)


def test_the_operator_may_do_what_it_does_and_nothing_else():
    assert granted("ClusterRole") == needed()


def test_the_table_above_knows_every_method_of_kube():
    methods = {name for name in vars(Kube) if not name.startswith("_")}

    assert methods == VERBS.keys() | {"create", "apply", "events", "log_tail"}


def test_with_namespaces_it_may_do_the_same_there_only():
    namespaced = "--set=watchNamespaces={lab,shop}"
    objects = render(namespaced)

    assert granted("Role", namespaced) == needed()
    assert [found["metadata"]["namespace"] for found in objects if found["kind"] == "Role"] == ["lab", "shop"]
    assert [found["metadata"]["namespace"] for found in objects if found["kind"] == "RoleBinding"] == ["lab", "shop"]
    assert all(is_for_users(found) for found in objects if found["kind"] == "ClusterRole")
    assert not [found for found in objects if found["kind"] == "ClusterRoleBinding"]


@pytest.mark.parametrize("options", [(), ("--set=watchNamespaces={lab}",)], ids=["everywhere", "in one namespace"])
def test_nobody_gets_secrets_or_stars(options: tuple[str, ...]):
    for found in render(*options):
        for rule in found.get("rules", []):
            assert "secrets" not in rule["resources"]
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_users_rights_can_be_left_out():
    assert not any(found["kind"] == "ClusterRole" and is_for_users(found) for found in render("--set=userRoles=false"))


def test_users_never_write_the_status():
    for found in render():
        if found["kind"] == "ClusterRole" and is_for_users(found):
            writing = [rule for rule in found["rules"] if "trainingjobs/status" in rule["resources"]]
            assert all(set(rule["verbs"]) <= {"get", "list", "watch"} for rule in writing)
