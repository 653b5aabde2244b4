"""One run of the trainer's own command from the spec of a TrainingJob, with a clock on all of it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from autotrain_api.bundle import Manifest, read_manifest
from autotrain_api.revision import recipe_of, revision_of
from autotrain_api.run import RunConfig, dump_run
from autotrain_api.trainingjob import Spec


class TrainingError(RuntimeError):
    """The trainer did not leave a bundle."""


class Trained(NamedTuple):
    folder: Path
    """The bundle's"""
    manifest: Manifest
    seconds: float
    """From the start of the process to its end: data, training, measuring, bundle"""


def train(name: str, spec: dict[str, Any], cache: Path) -> Trained:
    """Train `spec`, whatever lies there from before; run.yaml and log are `name`'s below `cache`. Raises TrainingError."""
    recipe = recipe_of(Spec.model_validate(spec))
    folder = cache / "recipes" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = RunConfig(
        name=name,
        revision=revision_of(recipe),
        recipe=recipe,
        data_uri=recipe.data.uri,
        output_uri=(folder / "bundle").resolve().as_uri(),
    )
    (folder / "run.yaml").write_text(dump_run(run), encoding="utf-8")
    started = time.monotonic()
    _call(folder)
    seconds = time.monotonic() - started
    return Trained(folder / "bundle", read_manifest(folder / "bundle"), seconds)


def _call(folder: Path) -> None:
    """Raises TrainingError."""
    command = [sys.executable, "-m", "autotrain_trainer", "train", "--config", str(folder / "run.yaml")]
    command += ["--termination-log", str(folder / "outcome.json")]
    log = folder / "train.log"
    with log.open("wb") as file:
        environment = os.environ | {"AUTOTRAIN_HOST": "127.0.0.1", "AUTOTRAIN_PORT": "0"}
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    if done.returncode:
        raise TrainingError(f"`{' '.join(command)}` ended with {done.returncode}; its log is {log}")
