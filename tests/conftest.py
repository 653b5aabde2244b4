"""Options and fixtures that every folder shares: which cluster the tests talk to."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # `--hypothesis-profile default` looks for new cases

pytest_plugins = ["minicluster.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kubeconfig",
        type=Path,
        default=None,
        help="test against this cluster instead of minicluster; its current context must be one for tests "
        '(its name begins with "kind-", "minikube" or "test-", or contains "autotrain")',
    )
