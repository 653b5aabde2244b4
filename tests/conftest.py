"""Options and fixtures that every folder shares: which cluster the tests talk to."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # `--hypothesis-profile default` looks for new cases

pytest_plugins = ["minicluster.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--images",
        default="autotrain",
        help="with --kubeconfig: registry and path of the images that the cluster can pull or has: IMAGE_PREFIX of `make images`",
    )
    parser.addoption(
        "--kubeconfig",
        type=Path,
        default=None,
        help="test against this cluster instead of minicluster; its current context must be one for tests "
        '(its name begins with "kind-", "minikube" or "test-", or contains "autotrain")',
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What plays with minicluster is left out where another cluster is given, and what needs a real one elsewhere."""
    other = "real_cluster" if config.getoption("--kubeconfig") is None else "minicluster"
    left_out = [item for item in items if item.get_closest_marker(other)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
