"""The operator as users install it, digits on a claim, and one trained model that all tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e_lab import NAMESPACE, ROOT, SYSTEM, Lab, pictures
from minicluster.fixtures import Cluster


@pytest.fixture(scope="session")
def lab(cluster: Cluster) -> Iterator[Lab]:
    """The chart is installed, with a CRD of its own, and the digits are on a claim."""
    data = pictures.digits(Path())
    chart = str(ROOT / "charts/autotrain-operator")
    cluster.kubectl("delete", "customresourcedefinition", "trainingjobs.autotrain.dev", "--ignore-not-found")
    cluster.helm("upgrade", "--install", "autotrain", chart, "--namespace", SYSTEM, "--create-namespace", "--wait")
    cluster.kubectl("create", "namespace", NAMESPACE)
    made = Lab(cluster, data.held_out)
    archive = cluster.cache / "digits.tgz"
    archive.write_bytes(data.archive)
    made.kubectl("create", "configmap", "digits", f"--from-file={archive}")
    made.kubectl("apply", "-f", str(ROOT / "examples/digits/data.yaml"))
    made.kubectl("wait", "--for=condition=Complete", "job/digits-data", "--timeout=60s", timeout=90)
    yield made
    cluster.kubectl("delete", "namespace", NAMESPACE, timeout=180)
    cluster.helm("uninstall", "autotrain", "--namespace", SYSTEM)


@pytest.fixture(scope="session")
def served(lab: Lab) -> str:
    """Name of a TrainingJob that is Ready with two replicas."""
    lab.apply("digits", serving={"replicas": 2})
    lab.wait("digits", "Ready")
    return "digits"
