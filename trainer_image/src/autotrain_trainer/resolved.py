"""What is decided once per revision and kept: batch size, learning rate, precision. Later attempts read it again."""

import copy
import json
import time
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from autotrain_api.names import Reason, Stage
from autotrain_api.trainingjob import Training
from autotrain_trainer.failures import LARGEST_BATCH, RunError
from autotrain_trainer.model import Trainable

SMALLEST_BATCH = 8
STEPS_PER_EPOCH = 12
"""A found batch size leaves at least this many steps in an epoch."""
BFLOAT16_GAIN = 0.9
"""bfloat16 is taken when a warm-up step takes less than this share of float32's time."""
WARM_UP_BATCH = 16
LEAST_WARM_UP_BATCH = 2
"""Batch normalisation takes no single picture."""
SMALL_SIDE = 96
"""Smaller pictures stay with float32: there is little to win, and a decision by time would change with the weather."""
FILE = "resolved.json"


class Resolved(BaseModel):
    """resolved.json"""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    batch_size: int
    precision: str
    learning_rate: float | None = None
    threads: int
    seed: int


def load(folder: Path) -> Resolved | None:
    """What an earlier attempt decided, or None."""
    try:
        return Resolved.model_validate_json((folder / FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def save(resolved: Resolved, folder: Path) -> Path:
    """Write resolved.json; complete or not at all. Raises RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{FILE}.partial"
        partial.write_text(json.dumps(resolved.model_dump(), indent=1) + "\n", encoding="utf-8")
        return partial.rename(folder / FILE)
    except OSError as error:
        raise RunError(Stage.EXPORT, Reason.OUTPUT_NOT_WRITABLE, f"{folder} cannot be written: {error}") from error


def batch_size_for(training: Training, pictures: int, largest: int = LARGEST_BATCH) -> int:
    """The spec's, or the largest power of two up to `largest` that leaves enough steps."""
    if training.batch_size is not None:
        return min(training.batch_size, pictures)
    size = largest
    while size > SMALLEST_BATCH and pictures // size < STEPS_PER_EPOCH:
        size //= 2
    return min(size, pictures)


def precision_for(training: Training, network: Trainable, height: int, width: int, batch: int) -> str:
    """The spec's, or the one whose warm-up steps are faster on this machine; at most `batch` pictures have room."""
    if training.precision != "Auto":
        return training.precision
    if max(height, width) < SMALL_SIDE or batch < LEAST_WARM_UP_BATCH:
        return "Float32"
    device, count = next(network.parameters()).device, min(WARM_UP_BATCH, batch)
    images = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, device=device)
    seconds = {name: _step_seconds(network, images, kind) for name, kind in PRECISIONS.items()}
    return "BFloat16" if seconds["BFloat16"] < BFLOAT16_GAIN * seconds["Float32"] else "Float32"


PRECISIONS: dict[str, torch.dtype | None] = {"Float32": None, "BFloat16": torch.bfloat16}


def _step_seconds(network: Trainable, images: torch.Tensor, precision: torch.dtype | None) -> float:
    """Time of a training step on a copy of the network, the shorter of two; one before warms up."""
    trial = copy.deepcopy(network).train()
    trial.precision = precision
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        trial(images).float().square().mean().backward()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
