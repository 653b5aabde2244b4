"""Renders the chart with the real helm, for the tests beside it."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

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
