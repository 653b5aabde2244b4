"""What a lower precision costs: measured here through the server's engine; a server decides by the record."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrain_api import bundle
from autotrain_api.bundle import PrecisionRecord
from autotrain_server.engine import Engine, OpenVinoEngine, Scores
from autotrain_server.golden import Golden, largest_difference
from autotrain_server.preprocess import Pixels
from autotrain_server.reading import BundleError
from autotrain_server.tasks import Task
from autotrain_trainer.assessment import Assessment
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.quantise import CALIBRATION_PICTURES, quantise
from autotrain_trainer.room import gathered

LEAST_PICTURES = 1_000
"""So many pictures are compared when there are that many; training pictures do."""
AGREEMENT = 0.99
NLL_DIFFERENCE = 0.01
TOLERANCE_FACTORS = {"BFloat16": 3.0, "Int8": 1.5}
"""A server accepts golden scores that differ by so many times the largest difference seen here: other processors round
and sum in another order. Integers are exact everywhere, so eight bits get less room."""
TOLERANCE_FLOOR = 0.01
CHUNK = 64

Lower = Literal["BFloat16", "Int8"]
Open = Callable[[Path, str], Engine]


class Sample(NamedTuple):
    """Pictures that both precisions answer; the first part carries the metric."""

    parts: list[Pictures]
    """Each at the network's size"""
    float32: Scores


def measure_precisions(
    folder: Path, sample: Sample, calibration: Pixels, assessment: Assessment, task: Task
) -> list[PrecisionRecord]:
    """A record for each precision below Float32; the graph in eight bits stays in `folder` when it passed."""
    golden = Golden(np.load(folder / bundle.GOLDEN_INPUTS), np.load(folder / bundle.GOLDEN_SCORES), task)
    return [
        measure_precision("BFloat16", folder / bundle.MODEL, sample, golden, assessment),
        _measure_int8(folder, sample, golden, calibration, assessment),
    ]


def _measure_int8(
    folder: Path, sample: Sample, golden: Golden, calibration: Pixels, assessment: Assessment
) -> PrecisionRecord:
    graph = folder / bundle.MODEL_INT8
    try:
        quantise(folder / bundle.MODEL, graph, calibration)
    except Exception as error:  # noqa: BLE001 - a graph may hold what cannot be quantised; the model is good without
        return _not_measured("Int8", f"{type(error).__name__}: {error}")
    record = measure_precision("Int8", graph, sample, golden, assessment)
    if not record.passed:
        graph.unlink()
    return record


def measure_precision(
    precision: Lower,
    model: Path,
    sample: Sample,
    golden: Golden,
    assessment: Assessment,
    open_engine: Open = OpenVinoEngine,
) -> PrecisionRecord:
    """The record of `precision`, passed or not, with the reason in words."""
    try:
        engine = open_engine(model, precision)
        lower = scores_of(engine, sample.parts)
        difference = largest_difference(engine, golden).value
    except (RuntimeError, BundleError) as error:
        return _not_measured(precision, str(error))
    agreement = float(np.mean(assessment.agreement(lower, sample.float32)))
    nll = assessment.loss_difference(lower, sample.float32, sample.parts)
    published = len(sample.parts[0])
    of_metric = assessment.metric_difference(lower[:published], sample.float32[:published], sample.parts[0])
    passed, reason = verdict(agreement, nll, difference, len(lower))
    return PrecisionRecord(
        precision=precision,
        engine=engine.name,
        samples=len(lower),
        agreement=agreement,
        nll_difference=nll if np.isfinite(nll) else 0.0,
        metric=of_metric,
        tolerance=max(TOLERANCE_FLOOR, TOLERANCE_FACTORS[precision] * difference) if np.isfinite(difference) else 0.0,
        passed=passed,
        reason=reason,
    )


def _not_measured(precision: Lower, why: str) -> PrecisionRecord:
    reason = f"could not be measured: {why}"
    return PrecisionRecord(precision=precision, engine=OpenVinoEngine.name, samples=0, passed=False, reason=reason)


def verdict(agreement: float, nll: float, golden: float, samples: int) -> tuple[bool, str]:
    """Whether it passed, and the figures in words."""
    checks = (
        (agreement >= AGREEMENT, f"{agreement:.2%} agree with Float32 ({AGREEMENT:.0%} are wanted)"),
        (nll <= NLL_DIFFERENCE, f"the loss differs by {nll:+.4f} (at most {NLL_DIFFERENCE:+.2f})"),
        (bool(np.isfinite(golden)), f"golden scores differ by {golden:.2g} of their scale"),
    )
    failed = [words for good, words in checks if not good]
    return not failed, f"of {samples} pictures " + "; ".join(failed or [words for _, words in checks])


def sample_of(pictures: PictureSet, published: Scores, float32: Engine) -> Sample:
    """The published pictures with their Float32 scores, and others until there are LEAST_PICTURES of them."""
    parts = [pictures.published]
    _, height, width, _ = parts[0].pixels.shape
    rest = [pictures.validation] if pictures.test else []
    for side in (*rest, pictures.train):
        missing = LEAST_PICTURES - sum(map(len, parts))
        if missing <= 0:
            break
        parts.append(_seen(side, _spread(len(side), missing).tolist(), height, width))
    others = batches_of(float32, parts[1:])
    return Sample(parts, gathered(chain([published], others), sum(map(len, parts))))


def _seen(side: Pictures, rows: list[int], height: int, width: int) -> Pictures:
    """Some pictures at the network's size, in a file where they are too many for memory."""
    middle = centre(side.pixels, height, width)
    parts = (middle[rows[start : start + CHUNK]] for start in range(0, len(rows), CHUNK))
    return side.chosen(rows, gathered(parts, len(rows)))


def calibration_of(pictures: PictureSet) -> Pixels:
    """Training pictures at the network's size, evenly spread over the part."""
    _, height, width, _ = pictures.published.pixels.shape
    return centre(pictures.train.pixels[_spread(len(pictures.train), CALIBRATION_PICTURES)], height, width)


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` of `count` positions, evenly; files often lie in the order of their classes."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def centre(pixels: Pixels, height: int, width: int) -> Pixels:
    """The middle of pictures that may be larger than the network's input."""
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def scores_of(engine: Engine, parts: Sequence[Pictures]) -> Scores:
    """[n, ...] of all parts, one after the other."""
    return gathered(batches_of(engine, parts), sum(map(len, parts)))


def batches_of(engine: Engine, parts: Sequence[Pictures]) -> Iterator[Scores]:
    """The scores in batches, since pixels may lie in a file that is larger than memory."""
    for part in parts:
        for start in range(0, len(part), CHUNK):
            yield engine.scores(np.ascontiguousarray(part.pixels[start : start + CHUNK]))
