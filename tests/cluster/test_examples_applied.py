"""The examples against an API, applied the way the documents say."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from minicluster.fixtures import Cluster

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Cluster:
    """`kubectl apply -f crds/`, as it stands in the documents."""
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/trainingjobs.autotrain.dev", "--timeout=30s")
    return cluster


def test_all_examples_of_the_crd_are_applied_at_once(api: Cluster, namespace: str):
    api.kubectl("-n", namespace, "apply", "--validate=strict", "-f", str(ROOT / "crds/examples"))

    shown = api.kubectl("-n", namespace, "get", "atj", "-o", "name").stdout.split()
    files = (ROOT / "crds/examples").glob("*.yaml")
    wanted = [job["metadata"]["name"] for path in files for job in yaml.safe_load_all(path.read_text())]
    assert sorted(shown) == sorted(f"trainingjob.autotrain.dev/{name}" for name in wanted)


def test_applying_an_example_again_changes_nothing(api: Cluster, namespace: str):
    path = str(ROOT / "crds/examples/full.yaml")
    api.kubectl("-n", namespace, "apply", "-f", path)

    assert "unchanged" in api.kubectl("-n", namespace, "apply", "-f", path).stdout


def test_the_digits_get_onto_their_claim(api: Cluster, namespace: str, tmp_path: Path):
    archive = tmp_path / "digits.tgz"
    subprocess.run(
        [sys.executable, str(ROOT / "examples/pictures.py"), "digits", str(archive)], check=True, cwd=tmp_path
    )
    api.kubectl("-n", namespace, "create", "configmap", "digits", f"--from-file={archive}")
    api.kubectl("-n", namespace, "apply", "-f", str(ROOT / "examples/digits/data.yaml"))

    api.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/digits-data", "--timeout=60s")
    applied = api.kubectl("-n", namespace, "apply", "-f", str(ROOT / "examples/digits/trainingjob.yaml"))

    assert "trainingjob.autotrain.dev/digits created" in applied.stdout
