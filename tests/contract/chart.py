"""Renders the chart with the real helm, for the tests beside it."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotrain_operator.settings import Settings
from minicluster.binaries import binaries
from minicluster.fixtures import PROGRAMS

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/autotrain-operator"


def run_helm(*arguments: str) -> str:
    """Its output. Raises CalledProcessError."""
    command = [str(binaries(PROGRAMS)["helm"]), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def render(*options: str) -> list[dict[str, Any]]:
    """The chart's objects as `helm install autotrain -n autotrain-system` makes them. Raises CalledProcessError."""
    return [document for document in _all(*options) if "helm.sh/hook" not in _annotations(document)]


def render_test(*options: str) -> list[dict[str, Any]]:
    """What `helm test` makes: the items of its one hook."""
    return list(hook_of_test(*options)["items"])


def hook_of_test(*options: str) -> dict[str, Any]:
    (hook,) = [document for document in _all(*options) if _annotations(document).get("helm.sh/hook") == "test"]
    return hook


@functools.cache
def _all(*options: str) -> list[dict[str, Any]]:
    text = run_helm("template", "autotrain", str(CHART), "--namespace", "autotrain-system", *options)
    return [document for document in yaml.safe_load_all(text) if document]


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    return document["metadata"].get("annotations") or {}


def chart_version() -> str:
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])


def only(kind: str, *options: str) -> dict[str, Any]:
    (found,) = [document for document in render(*options) if document["kind"] == kind]
    return found


def operator_pod(*options: str) -> dict[str, Any]:
    spec: dict[str, Any] = only("Deployment", *options)["spec"]["template"]["spec"]
    return spec


def environment(*options: str) -> dict[str, str]:
    """Name -> value; the pod's address stands for a field reference."""
    (container,) = operator_pod(*options)["containers"]
    return {variable["name"]: variable.get("value", "192.0.2.7") for variable in container["env"]}


def settings(*options: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings as the operator reads them from the rendered environment."""
    for name, value in environment(*options).items():
        monkeypatch.setenv(name, value)
    return Settings()
