"""torch -> ONNX, and the proof that both give the same scores."""

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autotrain_api import bundle
from autotrain_api.names import Reason, Stage
from autotrain_server.engine import Engine, EngineError, OpenVinoEngine, Scores
from autotrain_trainer.failures import RunError
from autotrain_trainer.room import gathered

Compare = Callable[[Scores, Scores], float]

OPSET = 20
EXAMPLE_BATCH = 2
PARITY = 1e-4
"""Largest difference between torch and the exported graph, as the task counts it."""
TRIED_BATCHES = (1, 3)
COMPARED_BATCH = 64
COMPARED_PIXELS = 64 * 224 * 224
"""In one pass through torch, which keeps all of its maps at once."""


def largest_difference(found: Scores, wanted: Scores) -> float:
    """In units of the largest |score|, or of 1 where all are smaller."""
    return float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))


def export(network: nn.Module, path: Path, height: int, width: int, classes: Sequence[str]) -> Engine:
    """Write the graph to `path` (uint8 NHWC in, scores out, free batch, classes in its metadata) and compile it.

    Raises RunError.
    """
    network.eval()
    example = torch.zeros((EXAMPLE_BATCH, height, width, 3), dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = cast(
                torch.onnx.ONNXProgram,
                torch.onnx.export(
                    network,
                    (example,),
                    input_names=["images"],
                    output_names=["scores"],
                    opset_version=OPSET,
                    dynamo=True,
                    dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
                    verbose=False,
                ),
            )
            program.model.metadata_props[bundle.GRAPH_CLASSES] = json.dumps(list(classes))
            program.save(path, external_data=False)
        return OpenVinoEngine(path)
    except (EngineError, RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise RunError(Stage.EXPORT, Reason.EXPORT_MISMATCH, f"the network does not export to ONNX: {error}") from error


def try_export(
    network: nn.Module, path: Path, height: int, width: int, seed: int, compare: Compare = largest_difference
) -> Scores:
    """Export the untrained network and run it; returns its scores of some noise. Raises RunError."""
    engine = export(network, path, height, width, ())
    random = np.random.default_rng(seed)
    for batch in TRIED_BATCHES:
        noise = random.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        scores, _ = check_parity(network, engine, noise, compare)
    path.unlink()
    return scores


def check_parity(
    network: nn.Module, engine: Engine, images: NDArray[np.uint8], compare: Compare = largest_difference
) -> tuple[Scores, float]:
    """The engine's scores of `images` and their largest difference from torch's. Raises RunError when it is too large."""
    differences: list[float] = []
    _, height, width, _ = images.shape
    together = max(1, min(COMPARED_BATCH, COMPARED_PIXELS // (height * width)))

    def compared(start: int) -> Scores:
        batch = np.ascontiguousarray(images[start : start + together])
        served = engine.scores(batch)
        with torch.no_grad():
            wanted = network(torch.from_numpy(batch)).numpy()
        differences.append(compare(served, wanted))
        return served

    scores = gathered(map(compared, range(0, len(images), together)), len(images))
    difference = float(np.max(differences))
    if not difference <= PARITY:
        raise RunError(
            Stage.EXPORT,
            Reason.EXPORT_MISMATCH,
            f"exported scores differ from torch's by {difference:.2g}; at most {PARITY:g} is allowed",
        )
    return scores, difference
