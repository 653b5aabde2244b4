"""What clients ask about the API itself."""

import pytest

from minicluster.conformance.client import Client
from minicluster.conformance.objects import GROUP

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("defined")]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize("path", ["/version", "/version/", "/healthz", "/readyz", "/livez", "/api", "/apis"])
def test_the_first_questions_are_answered(client: Client, path: str) -> None:
    assert client.get(path).code == 200


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_aggregated_discovery_has_its_own_content_type(client: Client, path: str) -> None:
    answer = client.get(path, f"{AGGREGATED},application/json")

    assert answer.body["kind"] == "APIGroupDiscoveryList"
    assert answer.headers["Content-Type"] == AGGREGATED


def test_aggregated_discovery_holds_custom_kinds(client: Client) -> None:
    groups = {item["metadata"]["name"]: item for item in client.get("/apis", AGGREGATED).body["items"]}

    found = groups[GROUP]["versions"][0]["resources"][0]
    assert (found["resource"], found["scope"], found["shortNames"]) == ("widgets", "Namespaced", ["wd"])
    assert {below["subresource"] for below in found["subresources"]} == {"status", "scale"}


def test_a_group_can_be_asked_for(client: Client) -> None:
    assert client.get(f"/apis/{GROUP}").body["preferredVersion"]["version"] == "v1"


@pytest.mark.parametrize(
    "path", ["/apis/none.autotrain.dev", "/apis/none.autotrain.dev/v1", f"/apis/{GROUP}/v1/none", "/none"]
)
def test_what_is_not_served_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).code == 404


@pytest.mark.parametrize("path", ["/openapi/v2", "/openapi/v3"])
def test_openapi_is_served(client: Client, path: str) -> None:
    assert client.get(path).code == 200


def test_openapi_describes_custom_kinds(client: Client) -> None:
    path = client.get("/openapi/v3").body["paths"][f"apis/{GROUP}/v1"]["serverRelativeURL"]

    schemas = client.get(path).body["components"]["schemas"].values()

    kinds = [kind["kind"] for schema in schemas for kind in schema.get("x-kubernetes-group-version-kind", [])]
    assert "Widget" in kinds


def test_a_method_that_makes_no_sense_is_not_allowed(client: Client, namespace: str) -> None:
    assert client.call("POST", f"/api/v1/namespaces/{namespace}/configmaps/a", {}).code == 405
