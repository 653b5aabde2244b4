"""The API server's verdict on the objects that the types judge in tests/contract."""

import json
from pathlib import Path

import pytest
import yaml

from contract.verdicts import BAD, GOOD, SMALLEST, Case
from minicluster.fixtures import Cluster

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/contract/revisions.json").read_text())


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Cluster:
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds/trainingjobs.autotrain.dev.yaml"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/trainingjobs.autotrain.dev", "--timeout=30s")
    return cluster


def create(api: Cluster, case: Case):
    arguments = ("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    return api.kubectl(*arguments, input=json.dumps(case.build()), check=False)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.title)
def test_api_takes(api: Cluster, case: Case):
    created = create(api, case)

    assert created.returncode == 0, created.stderr


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.title)
def test_api_refuses_and_names_the_place(api: Cluster, case: Case):
    refused = create(api, case)

    assert refused.returncode != 0
    expected = "metadata.name" if case.refused_at == "<root>" else str(case.refused_at)
    assert expected in refused.stderr


def test_defaults_show_in_the_object(api: Cluster):
    created = create(api, Case("", {}, None))

    spec = json.loads(created.stdout)["spec"]
    assert spec["training"] == GOLDEN["defaults"]["training"]
    assert spec["policy"]["deadlines"]["rolloutSeconds"] == 900
    assert spec["output"]["storage"] == {"size": "10Gi", "accessModes": ["ReadWriteOnce"]}
    assert spec["serving"]["limits"]["maxBodyBytes"] == "10Mi"


@pytest.mark.parametrize(
    ("path", "value"),
    [("uri", "pvc://elsewhere"), ("storage", {"size": "20Gi"}), ("reclaim", "Delete")],
    ids=["the place of the models", "their storage", "their end"],
)
def test_output_cannot_be_changed(api: Cluster, namespace: str, path: str, value: object):
    api.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(SMALLEST))

    patch = json.dumps({"spec": {"output": {path: value}}})
    refused = api.kubectl(
        "-n", namespace, "patch", "atj", "flowers", "--type=merge", "--dry-run=server", "-p", patch, check=False
    )

    assert refused.returncode != 0
    assert "immutable" in refused.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "crds/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_taken(api: Cluster, namespace: str, path: Path):
    applied = api.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", str(path))

    kinds = [document["kind"] for document in yaml.safe_load_all(path.read_text())]
    assert applied.stdout.count("trainingjob.autotrain.dev/") == kinds.count("TrainingJob") > 0
