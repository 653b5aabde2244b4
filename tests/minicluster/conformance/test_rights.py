"""Role-based access control, for the token of a service account."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minicluster.conformance.client import CORE, Client, Object, eventually, unique
from minicluster.conformance.objects import GROUP, apps, config_map, core, pod, rbac, widget, widgets

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]

RBAC = "rbac.authorization.k8s.io"
Grant = Callable[..., None]


@pytest.fixture
def bot(client: Client, namespace: str) -> Iterator[Client]:
    """A client with the token of the service account `bot`, which may do nothing yet."""
    client.made(
        core(namespace, "serviceaccounts"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot"}}
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = client.made(core(namespace, "serviceaccounts", "bot/token"), request)["status"]["token"]
    bot = client.with_token(token)
    yield bot
    bot.close()


@pytest.fixture
def grant(client: Client, namespace: str) -> Grant:
    """Give `bot` a rule within its namespace."""

    def give(verbs: list[str], resources: list[str], group: str = "", **more: Any) -> None:
        name = unique()
        rule = {"verbs": verbs, "apiGroups": [group], "resources": resources, **more}
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}, "rules": [rule]}
        client.made(rbac(namespace, "roles"), role)
        client.made(rbac(namespace, "rolebindings"), binding(name, namespace, "Role"))

    return give


def binding(role: str, namespace: str, kind: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": namespace}],
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
    }


def test_without_a_known_token_nobody_is_let_in(client: Client) -> None:
    stranger = client.with_token("none")

    assert (stranger.get(f"{CORE}/namespaces").code, stranger.get(f"{CORE}/namespaces").reason) == (401, "Unauthorized")
    stranger.close()


def test_a_service_account_may_nothing_at_first(bot: Client, namespace: str) -> None:
    refused = bot.get(core(namespace, "pods"))

    assert (refused.code, refused.reason) == (403, "Forbidden")
    user = f"system:serviceaccount:{namespace}:bot"
    told = f'User "{user}" cannot list resource "pods" in API group "" in the namespace "{namespace}"'
    assert refused.message == f"pods is forbidden: {told}"


def test_a_refusal_names_the_object_and_its_group(bot: Client, namespace: str) -> None:
    refused = bot.get(apps(namespace, "deployments", "web"))

    assert refused.message.startswith('deployments.apps "web" is forbidden')
    assert 'cannot get resource "deployments" in API group "apps"' in refused.message


def test_cluster_wide_questions_are_refused_at_the_cluster_scope(bot: Client) -> None:
    assert bot.get(f"{CORE}/pods").message.endswith("at the cluster scope")


def test_everybody_may_ask_what_is_served(bot: Client) -> None:
    assert [bot.get(path).code for path in ("/version", "/api", "/apis", "/apis/apps/v1", "/openapi/v3")] == [200] * 5


def test_a_rule_allows_its_verbs_only(bot: Client, namespace: str, grant: Grant) -> None:
    grant(["get", "list"], ["configmaps"])

    eventually(lambda: bot.get(core(namespace, "configmaps")).code == 200)
    assert bot.post(core(namespace, "configmaps"), config_map("a")).code == 403
    assert bot.get(core(namespace, "secrets")).code == 403
    assert bot.get(core("default", "configmaps")).code == 403


def test_watching_is_a_verb_of_its_own(bot: Client, namespace: str, grant: Grant) -> None:
    grant(["get", "list"], ["configmaps"])

    eventually(lambda: bot.get(core(namespace, "configmaps")).code == 200)
    assert bot.get(core(namespace, "configmaps"), watch="true", timeoutSeconds="1").code == 403


def test_a_rule_may_name_objects(client: Client, bot: Client, namespace: str, grant: Grant) -> None:
    client.made(core(namespace, "configmaps"), config_map("mine"))
    grant(["get", "list"], ["configmaps"], resourceNames=["mine"])

    eventually(lambda: bot.get(core(namespace, "configmaps", "mine")).code == 200)
    assert bot.get(core(namespace, "configmaps", "other")).code == 403
    assert bot.get(core(namespace, "configmaps")).code == 403
    assert bot.get(core(namespace, "configmaps"), fieldSelector="metadata.name=mine").code == 200


def test_a_subresource_needs_a_rule_of_its_own(client: Client, bot: Client, namespace: str, grant: Grant) -> None:
    client.made(widgets(namespace), widget("w"))
    grant(["get", "patch"], ["widgets"], GROUP)

    eventually(lambda: bot.patch(widgets(namespace, "w"), {"spec": {"size": 4}}).code == 200)
    refused = bot.patch(widgets(namespace, "w/status"), {"status": {"phase": "X"}})
    grant(["patch"], ["widgets/status"], GROUP)

    assert refused.code == 403
    assert 'resource "widgets/status"' in refused.message
    eventually(lambda: bot.patch(widgets(namespace, "w/status"), {"status": {"phase": "X"}}).code == 200)


def test_logs_are_a_subresource(client: Client, bot: Client, namespace: str, grant: Grant) -> None:
    client.made(core(namespace, "pods"), pod("p"))
    grant(["get"], ["pods"])

    eventually(lambda: bot.get(core(namespace, "pods", "p")).code == 200)
    assert 'resource "pods/log"' in bot.get(core(namespace, "pods", "p/log")).message


def test_an_apply_that_creates_needs_the_verb_create(bot: Client, namespace: str, grant: Grant) -> None:
    grant(["get", "patch"], ["widgets"], GROUP)
    eventually(lambda: bot.get(widgets(namespace, "w")).code == 404)

    refused = bot.apply(widgets(namespace, "w"), widget("w"), "m")
    grant(["create"], ["widgets"], GROUP)

    assert refused.code == 403
    assert "cannot create resource" in refused.message
    eventually(lambda: bot.apply(widgets(namespace, "w"), widget("w"), "m").code == 201)


def test_a_collection_is_deleted_with_a_verb_of_its_own(bot: Client, namespace: str, grant: Grant) -> None:
    grant(["delete"], ["configmaps"])

    eventually(lambda: bot.delete(core(namespace, "configmaps", "none")).code == 404)
    assert "cannot deletecollection" in bot.delete(core(namespace, "configmaps")).message


def test_a_cluster_role_can_be_bound_within_a_namespace(client: Client, bot: Client, namespace: str) -> None:
    client.made(rbac(namespace, "rolebindings"), binding("view", namespace, "ClusterRole"))

    eventually(lambda: bot.get(core(namespace, "pods")).code == 200)
    assert bot.get(core(namespace, "secrets")).code == 403
    assert bot.get(f"{CORE}/pods").code == 403


def test_the_role_of_a_binding_is_immutable(client: Client, namespace: str) -> None:
    client.made(rbac(namespace, "rolebindings"), binding("view", namespace, "ClusterRole"))
    patch = {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "edit"}}

    assert client.patch(rbac(namespace, "rolebindings", "view"), patch).code == 422


@pytest.mark.parametrize(("verb", "allowed"), [("list", True), ("delete", False)])
def test_one_can_ask_what_one_may(bot: Client, namespace: str, grant: Grant, verb: str, allowed: bool) -> None:
    grant(["list"], ["pods"])
    eventually(lambda: bot.get(core(namespace, "pods")).code == 200)
    asked = {"resourceAttributes": {"namespace": namespace, "verb": verb, "resource": "pods"}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": asked}

    answer = bot.made("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)

    assert answer["status"]["allowed"] is allowed
