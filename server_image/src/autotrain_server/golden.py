"""The golden pictures of a bundle: an engine must give their scores again, alone and among others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autotrain_api import bundle
from autotrain_api.bundle import Manifest
from autotrain_api.names import Reason
from autotrain_server.engine import Engine, Pictures, PrecisionError, Scores
from autotrain_server.precision import FLOAT32
from autotrain_server.reading import BundleError
from autotrain_server.tasks import Task

Batches: TypeAlias = slice
SHOWN = 200
"""Characters of a list in a message."""
EVERY, TOGETHER, OTHERS = slice(None), slice(1), slice(1, None)
"""Which batches are compared: all golden pictures at once come first, then one alone and the sizes between."""


class Golden(NamedTuple):
    inputs: Pictures
    """uint8 [n, height, width, 3]"""
    scores: Scores
    """[n, ...], of the Float32 engine"""
    task: Task
    """It compares them."""

    @property
    def scale(self) -> float:
        return float(np.abs(self.scores).max()) or 1.0


class Difference(NamedTuple):
    value: float
    """As the task counts it, 0 for the same; NaN when a score is no number."""
    where: str
    """The batch shape in which it was seen."""


def read_golden(folder: Path, manifest: Manifest, task: Task) -> Golden:
    """Golden inputs and scores in the manifest's shapes. Raises BundleError."""
    inputs, scores = _array(folder, bundle.GOLDEN_INPUTS), _array(folder, bundle.GOLDEN_SCORES)
    shape = (len(manifest.golden), manifest.preprocessing.height, manifest.preprocessing.width, 3)
    if inputs.dtype != np.uint8 or inputs.shape != shape:
        raise BundleError(
            Reason.BUNDLE_ALTERED,
            bundle.GOLDEN_INPUTS,
            f"golden inputs are {inputs.dtype} {inputs.shape}; the manifest has uint8 {shape}",
        )
    if len(scores) != len(inputs) or (problem := task.problem(scores)):
        said = problem if len(scores) == len(inputs) else f"{len(scores)} scores for {len(inputs)} pictures"
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.GOLDEN_SCORES, f"golden {said}")
    return Golden(inputs, scores, task)


def check_golden(engine: Engine, golden: Golden, manifest: Manifest, which: Batches = EVERY) -> None:
    """Float32: every score within GOLDEN_TOLERANCE, every top class under its name. Raises BundleError."""
    difference = largest_difference(engine, golden, which)
    if not difference.value <= bundle.GOLDEN_TOLERANCE:
        raise BundleError(
            Reason.GOLDEN_MISMATCH,
            bundle.GOLDEN_SCORES,
            f"golden scores differ by {difference.value:.2g} of their scale {difference.where}; "
            f"at most {bundle.GOLDEN_TOLERANCE:g} is allowed: the graph is not the one that was trained and measured",
        )
    names = golden.task.headlines(golden.scores)
    for position, (name, sample) in enumerate(zip(names, manifest.golden, strict=True)):
        if name != sample.prediction:
            raise BundleError(
                Reason.CLASSES_MISMATCH,
                bundle.MANIFEST,
                f"golden picture {position} is {name!r} here and was "
                f"{sample.prediction!r} when the model was made: the order of the classes differs",
            )


def check_classes(written: str, manifest: Manifest) -> None:
    """`written`: the classes in the graph's metadata, "" in a graph that was made without. Raises BundleError."""
    if not written or written == json.dumps(manifest.classes):
        return
    raise BundleError(
        Reason.CLASSES_MISMATCH,
        bundle.MANIFEST,
        f"the classes here are {shortened(json.dumps(manifest.classes))} and those of the graph are "
        f"{shortened(written)}: names or order differ",
    )


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def check_tolerance(engine: Engine, golden: Golden, tolerance: float) -> None:
    """A lower precision: every score within what the trainer's measurement allows. Raises PrecisionError."""
    try:
        difference = largest_difference(engine, golden)
    except BundleError as error:
        raise PrecisionError(f"in {engine.precision} {error}") from error
    if not difference.value <= tolerance:
        raise PrecisionError(
            f"golden scores in {engine.precision} differ by {difference.value:.2g} of their scale {difference.where} "
            f"on this processor; the trainer's measurement allows {tolerance:.2g}"
        )


def largest_difference(engine: Engine, golden: Golden, which: Batches = EVERY) -> Difference:
    """Over all golden pictures together, one alone, and a mixed batch of each size between. Raises BundleError."""
    compare = golden.task.difference if engine.precision == FLOAT32 else golden.task.drift
    found = Difference(0.0, "")
    for positions, where in list(_batches(len(golden.inputs), engine.batch_sizes))[which]:
        try:
            scores = engine.scores(golden.inputs[positions])
        except RuntimeError as error:
            raise BundleError(Reason.GOLDEN_MISMATCH, bundle.MODEL, f"the graph does not run: {error}") from error
        wanted = golden.scores[positions]
        if scores.shape != wanted.shape or scores.dtype != wanted.dtype:
            raise BundleError(
                Reason.GOLDEN_MISMATCH,
                bundle.MODEL,
                f"the graph gives {_words(scores)}, the golden scores are {_words(wanted)}",
            )
        value = compare(scores, wanted, golden.scale)
        if not value <= found.value:
            found = Difference(value, where)
        if np.isnan(value):
            break
    return found


def _words(scores: Scores) -> str:
    return f"{' x '.join(map(str, scores.shape[1:]))} {scores.dtype} scores for each of {len(scores)} pictures"


def _batches(count: int, sizes: tuple[int, ...]) -> Iterator[tuple[NDArray[np.intp], str]]:
    """Positions of golden pictures, so that every size of pass is run; few pictures are repeated to fill a batch."""
    largest = max(sizes, default=count)
    yield np.arange(max(count, largest)) % count, "in a full batch"
    yield np.arange(1), "alone"
    for size in sizes[1:-1]:
        yield np.arange(size) % count, f"in a batch of {size}"


def _array(folder: Path, name: str) -> NDArray[Any]:
    """A .npy file, mapped before it is read, so that a header cannot ask for more memory than the file has bytes."""
    try:
        return np.array(np.lib.format.open_memmap(folder / name, mode="r"))
    except Exception as error:
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name} does not load: {error}") from error
