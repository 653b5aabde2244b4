"""results/recipes.json: a section for each comparison, with what it was measured on."""

import datetime
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from benchmarks.recipes.comparison import Comparison, Place
from benchmarks.serving.processes import ROOT
from benchmarks.serving.report import commit, machine, rounded, wanted

RESULTS = ROOT / "benchmarks/results/recipes.json"
CACHE = "file:///cache"
PACKAGES = ("fastai", "numpy", "openvino", "pillow", "pycocotools", "timm", "torch", "torchvision")


def section(found: Comparison, place: Place) -> dict[str, Any]:
    """The figures of a comparison, with what they were taken on. Addresses below the cache are told from there."""
    figures = json.dumps(found.figures).replace(place.cache.resolve().as_uri(), CACHE)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | versions,
        "seed": place.seed,
        "figures": json.loads(figures),
        "bars": [
            {"name": bar.name, "wanted": wanted(bar), "found": rounded(bar.found), "met": bar.met} for bar in found.bars
        ],
    }


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Into the file, beside the sections of other comparisons."""
    sections = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted((sections | {name: found}).items())), indent=1) + "\n", encoding="utf-8")
