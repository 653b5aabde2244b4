"""The operator as users install it, digits on a claim, and one trained model that all tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e_lab import CRD, NAMESPACE, RELEASE, ROOT, SYSTEM, Lab, pictures
from minicluster.fixtures import Cluster

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="session")
def lab(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The chart is installed, and the digits are on a claim; afterwards both are gone."""
    prefix: str = request.config.getoption("--images")
    own = request.config.getoption("--kubeconfig") is None
    made = Lab(cluster, pictures.digits(Path()).held_out)
    try:
        for name in (SYSTEM, NAMESPACE):
            cluster.kubectl("create", "namespace", name)
            cluster.kubectl("label", "namespace", name, RESTRICTED)
        install(cluster, f"imagePrefix={prefix},watchNamespaces={{{NAMESPACE}}}", own)
        bring_digits(made)
        yield made
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=180)
        cluster.helm("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", timeout=180)


def install(cluster: Cluster, values: str, own: bool) -> None:
    """With the CRD, where the cluster is our own or has none; what others have there is not replaced."""
    if own:
        cluster.kubectl("delete", "customresourcedefinition", CRD, "--ignore-not-found")
    there = cluster.kubectl("get", "customresourcedefinition", CRD, check=False).returncode == 0
    chart = str(ROOT / "charts/autotrain-operator")
    values = f"{values},crds.install={str(not there).lower()}"
    cluster.helm("install", RELEASE, chart, "--namespace", SYSTEM, "--set", values, "--wait", "--timeout", "2m")


def bring_digits(made: Lab) -> None:
    archive = made.cluster.cache / "digits.tgz"
    archive.write_bytes(pictures.digits(Path()).archive)
    made.kubectl("create", "configmap", "digits", f"--from-file={archive}")
    made.kubectl("apply", "-f", str(ROOT / "examples/digits/data.yaml"))
    made.kubectl("wait", "--for=condition=Complete", "job/digits-data", "--timeout=60s", timeout=90)


@pytest.fixture(scope="session")
def served(lab: Lab) -> str:
    """Name of a TrainingJob that is Ready with two replicas."""
    lab.apply("digits", serving={"replicas": 2})
    lab.wait("digits", "Ready")
    return "digits"
