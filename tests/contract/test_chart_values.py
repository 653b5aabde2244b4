"""The chart's values: each does something, has a type and is explained; what is wrong is refused."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contract.chart import CHART, render, render_test

SCHEMA = json.loads((CHART / "values.schema.json").read_text())

OTHER: dict[str, Any] = {
    "imagePrefix": "r.example.org/x",
    "image.repository": "r.example.org/o",
    "image.tag": "v7",
    "image.digest": "sha256:" + "a" * 64,
    "image.pullPolicy": "Never",
    "trainer.image.repository": "r.example.org/t",
    "trainer.image.tag": "v7",
    "trainer.image.digest": "sha256:" + "b" * 64,
    "server.image.repository": "r.example.org/s",
    "server.image.tag": "v7",
    "server.image.digest": "sha256:" + "c" * 64,
    "imagePullSecrets": [{"name": "registry"}],
    "jobs.imagePullPolicy": "Always",
    "jobs.gpusPerNode": 0,
    "jobs.gpuResource": "amd.com/gpu",
    "jobs.storageClassName": "fast",
    "jobs.fsGroup": None,
    "jobs.trainingResources": {"limits": {"memory": "8Gi"}},
    "jobs.servingResources": {"limits": {"memory": "8Gi"}},
    "jobs.nodeSelector": {"pool": "gpu"},
    "jobs.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "watchNamespaces": ["lab"],
    "resyncSeconds": 30,
    "workers": 2,
    "log.level": "DEBUG",
    "log.format": "text",
    "port": 9090,
    "crds.install": False,
    "userRoles": False,
    "rbac.create": False,
    "serviceAccount.create": False,
    "serviceAccount.name": "mine",
    "serviceAccount.annotations": {"role": "a"},
    "resources": {"limits": {"memory": "1Gi"}},
    "podSecurityContext": {"runAsUser": 7},
    "securityContext": {"runAsUser": 7},
    "podLabels": {"team": "vision"},
    "podAnnotations": {"team": "vision"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "terminationGracePeriodSeconds": 5,
    "commonLabels": {"team": "vision"},
    "test.timeoutSeconds": 90,
    "fullnameOverride": "at",
}
"""Another content for each value."""
GROUPS = {
    "image",
    "trainer",
    "trainer.image",
    "server",
    "server.image",
    "jobs",
    "log",
    "crds",
    "rbac",
    "serviceAccount",
}
GROUPS |= {"test"}
"""Values that only hold others."""


def values_of(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values, `image.tag` for example."""
    for name, value in content.items():
        path = f"{prefix}{name}"
        if path in GROUPS:
            yield from values_of(value, f"{path}.")
        else:
            yield path


VALUES = list(values_of(yaml.safe_load((CHART / "values.yaml").read_text())))


def schema_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values that the schema knows."""
    for name, below in resolved(schema)["properties"].items():
        path = f"{prefix}{name}"
        if path in GROUPS:
            yield from schema_paths(below, f"{path}.")
        else:
            yield path


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    found = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    assert isinstance(found, dict)
    return found


def with_named_keys(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, schema) of each part of the schema that lists keys."""
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            yield path, part
        for name, below in part.items():
            yield from with_named_keys(below, f"{path}/{name}")


@pytest.mark.parametrize("path", VALUES)
def test_every_value_changes_what_is_rendered(path: str):
    option = f"--set-json={path}={json.dumps(OTHER[path])}"

    assert [*render(option), *render_test(option)] != [*render(), *render_test()]


@pytest.mark.parametrize(
    "option",
    [
        "--set=replicas=2",
        "--set=image.repo=x",
        "--set=trainer.repository=x",
        "--set=trainer.image.name=x",
        "--set=jobs.gpus=1",
        "--set=jobs.gpusPerNode=-1",
        "--set=jobs.gpusPerNode=two",
        "--set=jobs.imagePullPolicy=always",
        "--set=jobs.trainingResources.request.cpu=1",
        "--set=log.level=LOUD",
        "--set=resyncSeconds=1",
        "--set=watchNamespaces=lab",
        "--set=watchNamespaces={Lab}",
        "--set=image.digest=latest",
        "--set=crds.install=yes",
        "--set=crds.keep=true",
        "--set=test.enabled=true",
        "--set=serviceAccount.annotation.a=b",
        "--set=podSecurityContext.runAsNonroot=true",
        "--set=securityContext.fsGroup=1",
        "--set=securityContext.capabilities.dropp={ALL}",
        "--set=affinity.nodeAfinity.a=b",
        "--set=fullnameOverride=Not_a_name",
        '--set-json=tolerations=[{"key":"a","effect":"Never"}]',
        '--set-json=imagePullSecrets=["a"]',
        '--set-json=commonLabels={"a":1}',
    ],
)
def test_a_wrong_value_is_refused(option: str):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(option)

    assert option.partition("=")[2].partition("=")[0].split(".")[0] in refused.value.stderr


def test_the_schema_knows_the_values_and_no_others():
    assert set(schema_paths(SCHEMA)) - {"global"} == set(VALUES)


def test_the_schema_refuses_unknown_keys_wherever_it_lists_keys():
    listing = dict(with_named_keys(SCHEMA))

    assert len(listing) > len(GROUPS)
    assert [path for path, found in listing.items() if found.get("additionalProperties") is not False] == []


def test_the_readme_explains_the_values_and_no_others():
    rows = [line for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]

    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])) == sorted(VALUES)
