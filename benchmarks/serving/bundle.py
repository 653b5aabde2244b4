"""The bundle that everybody serves: a resnet18 with ten classes, trained a little by the trainer's own command."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from benchmarks.serving import pictures

RECIPE: dict[str, Any] = {
    "task": "Classification",
    "model": {"backbone": "resnet18", "pretrained": False, "imageSize": 224},
    "training": {"epochs": 5, "freezeEpochs": 0, "batchSize": 32, "learningRate": 0.003, "seed": 17},
}


class BundleError(RuntimeError):
    """The trainer did not leave a bundle."""


def trained_bundle(cache: Path) -> Path:
    """The bundle's folder below `cache`, trained when there is none of this recipe. Raises BundleError."""
    source = repr((RECIPE, pictures.TRAINED_PER_CLASS)).encode() + pictures.training_picture(0, 0).tobytes()
    digest = hashlib.sha256(source).hexdigest()[:10]
    folder = cache / f"bundle-{digest}"
    if (folder / "manifest.json").is_file():
        return folder
    print("training the bundle that everybody serves (once, some minutes)", flush=True)
    data = cache / f"data-{digest}"
    pictures.training_pictures(data)
    train(write_run(cache, data, folder, f"v1-{digest}"))
    return folder


def write_run(cache: Path, data: Path, folder: Path, revision: str) -> Path:
    uri = data.resolve().as_uri()
    run = {
        "name": "benchmark",
        "revision": revision,
        "recipe": {**RECIPE, "data": {"uri": uri}},
        "dataUri": uri,
        "outputUri": folder.resolve().as_uri(),
    }
    path = cache / "run.yaml"
    path.write_text(yaml.safe_dump(run, sort_keys=False), encoding="utf-8")
    return path


def train(run: Path) -> None:
    """`autotrain-trainer train`; its log lies beside the run. Raises BundleError."""
    log = run.with_suffix(".log")
    command = [sys.executable, "-m", "autotrain_trainer", "train", "--config", str(run)]
    with log.open("wb") as file:
        environment = os.environ | {"AUTOTRAIN_HOST": "127.0.0.1", "AUTOTRAIN_PORT": "0"}
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if done.returncode:
        raise BundleError(f"`{' '.join(command)}` ended with {done.returncode}; its log is {log}")
