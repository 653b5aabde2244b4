"""Fixtures of the checks: a client of the cluster under test, a namespace for each test, and the kind Widget."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minicluster.conformance.client import CORE, Client, eventually, unique
from minicluster.conformance.objects import DEFINITIONS, GROUP, definition


@pytest.fixture(scope="session")
def client(kubeconfig: Path) -> Iterator[Client]:
    client = Client.from_kubeconfig(kubeconfig)
    yield client
    client.close()


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    name = unique("conformance-")
    client.made(f"{CORE}/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    eventually(lambda: client.get(f"{CORE}/namespaces/{name}/serviceaccounts/default").code == 200)
    yield name
    client.delete(f"{CORE}/namespaces/{name}")


@pytest.fixture(scope="session")
def defined(client: Client) -> Iterator[None]:
    """The kind Widget is served."""
    remove_definition(client, f"widgets.{GROUP}")
    client.made(DEFINITIONS, definition("widgets", "Widget", "wd"))
    eventually(lambda: client.get(f"/apis/{GROUP}/v1/widgets").code == 200)
    yield
    remove_definition(client, f"widgets.{GROUP}")


def remove_definition(client: Client, name: str) -> None:
    client.delete(f"{DEFINITIONS}/{name}")
    eventually(lambda: client.gone(f"{DEFINITIONS}/{name}"))
