"""What is measured of a lower precision, and which one a server takes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from autotrain_api.bundle import PrecisionRecord, ResolvedPreprocessing
from autotrain_server.engine import EngineError, PrecisionError
from autotrain_server.golden import Golden
from autotrain_server.precision import PrecisionRefused, choose
from autotrain_server.tasks.classification import Classification
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.labels import LabelAssessment
from autotrain_trainer.measure import paired
from autotrain_trainer.precision import LEAST_PICTURES, Sample, measure_precision, sample_of

CLASSES = 4
NAMES = ["a", "b", "c", "d"]
PREPROCESSING = ResolvedPreprocessing(
    height=2, width=2, resize="Squish", interpolation="Nearest", mean=[0.5] * 3, std=[0.5] * 3
)
TASK = Classification(NAMES, PREPROCESSING, {})
ASSESSMENT = LabelAssessment(NAMES, "accuracy")
MODEL = Path("model.onnx")


def record(**changes) -> PrecisionRecord:
    known = {"precision": "BFloat16", "engine": "openvino", "samples": 1000, "tolerance": 0.02, "passed": True}
    return PrecisionRecord(**{**known, "reason": "of 1000 pictures 99.90% have the same class", **changes})


# --- the server's choice

ABLE = {"Float32", "BFloat16", "Int8"}


def test_float32_is_taken_as_it_is():
    assert choose("Float32", [record()], "openvino", ABLE) == ("Float32", 0.0, "")


@pytest.mark.parametrize("asked", ["Auto", "BFloat16"])
def test_bfloat16_is_taken_where_it_passed_and_the_processor_has_it(asked):
    assert choose(asked, [record()], "openvino", ABLE) == ("BFloat16", 0.02, "")


OBSTACLES = {
    "never measured": ([], ABLE, "no BFloat16 measurement for openvino is in the bundle"),
    "measured with another engine": ([record(engine="onnxruntime")], ABLE, "no BFloat16 measurement for openvino"),
    "did not pass": ([record(passed=False, reason="90 % agree")], ABLE, "did not pass: 90 % agree"),
    "not on this processor": ([record()], {"Float32"}, "this processor has no BFloat16 in openvino"),
}


@pytest.mark.parametrize(("records", "able", "words"), OBSTACLES.values(), ids=OBSTACLES)
def test_auto_falls_back_to_float32_and_says_why(records, able, words):
    precision, _, note = choose("Auto", records, "openvino", able)

    assert precision == "Float32"
    assert note.startswith("Float32 instead of BFloat16: ")
    assert words in note


@pytest.mark.parametrize(("records", "able", "words"), OBSTACLES.values(), ids=OBSTACLES)
def test_a_named_precision_that_cannot_be_had_is_refused_with_the_same_words(records, able, words):
    with pytest.raises(PrecisionRefused, match="BFloat16 cannot be had") as caught:
        choose("BFloat16", records, "openvino", able)

    assert words in str(caught.value)


def test_eight_bits_need_a_measurement_of_their_own():
    with pytest.raises(PrecisionRefused, match="no Int8 measurement for openvino is in the bundle"):
        choose("Int8", [record()], "openvino", ABLE)


# --- the trainer's measurement


@dataclass
class Table:
    """An engine that answers from a table, by the value of a picture's first two pixels."""

    rows: np.ndarray
    change: Callable[[np.ndarray], np.ndarray] = field(default=lambda rows: rows)
    name: str = "openvino"
    precision: str = "BFloat16"
    streams: int = 1
    batch_sizes: tuple[int, ...] = (1, 2, 4)

    def scores(self, images: np.ndarray) -> np.ndarray:
        positions = images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 0, 1].astype(int)
        return self.change(self.rows[positions]).astype(np.float32)


def numbered(count: int, size: int = 2) -> np.ndarray:
    pixels = np.zeros((count, size, size, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = (np.arange(count) % 256)[:, None, None], (np.arange(count) // 256)[:, None, None]
    return pixels


@pytest.fixture
def table() -> Table:
    random = np.random.default_rng(0)
    return Table(random.normal(size=(2000, CLASSES)).astype(np.float32) * 4)


def sample(table: Table, count: int = 1200) -> Sample:
    scores = table.scores(numbered(count))
    return Sample([Pictures(numbered(count), scores.argmax(axis=1), [None] * count)], scores)  # type: ignore[list-item]


def measured(table: Table, change: Callable[[np.ndarray], np.ndarray], count: int = 1200) -> PrecisionRecord:
    lower = Table(table.rows, change)
    golden = Golden(numbered(8), table.scores(numbered(8)), TASK)
    return measure_precision("BFloat16", MODEL, sample(table, count), golden, ASSESSMENT, lambda *_: lower)


def test_what_answers_the_same_passes_with_the_smallest_tolerance(table):
    found = measured(table, lambda rows: rows)

    assert (found.passed, found.samples, found.agreement, found.nll_difference) == (True, 1200, 1, 0)
    assert found.tolerance == pytest.approx(0.01)
    assert (found.metric.name, found.metric.value, found.metric.low, found.metric.high) == ("accuracy", 0, 0, 0)


def test_the_tolerance_is_three_times_what_was_seen(table):
    found = measured(table, lambda rows: rows * 1.02)

    assert found.passed
    assert found.tolerance == pytest.approx(0.06, rel=1e-3)


def flipped(rows: np.ndarray) -> np.ndarray:
    """The last picture of each call, one in 64, gets the class beside its own."""
    rows = rows.copy()
    rows[-1] = np.roll(rows[-1], 1)
    return rows


FAILURES = {
    "other classes": (flipped, "agree with Float32 (99% are wanted)"),
    "less sure": (lambda rows: rows * 0.5, "the loss differs by"),
    "not a number": (lambda rows: rows * np.nan, "golden scores differ by nan"),
}


@pytest.mark.parametrize(("change", "words"), FAILURES.values(), ids=FAILURES)
def test_what_answers_otherwise_does_not_pass_and_says_in_what(table, change, words):
    found = measured(table, change)

    assert not found.passed
    assert words in found.reason
    assert "of 1200 pictures" in found.reason


@pytest.mark.parametrize("problem", [PrecisionError("OpenVINO has no BFloat16 on this processor"), EngineError("no")])
def test_what_does_not_compile_is_recorded_as_not_measured(table, problem):
    def refuse(*_: object) -> Table:
        raise problem

    golden = Golden(numbered(8), table.scores(numbered(8)), TASK)
    found = measure_precision("BFloat16", MODEL, sample(table, 8), golden, ASSESSMENT, refuse)

    assert (found.passed, found.samples) == (False, 0)
    assert str(problem) in found.reason


def pictures_of(count: int, size: int = 2) -> Pictures:
    return Pictures(numbered(count, size), np.zeros(count, np.int64), [None] * count)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("train", "validation", "test", "wanted"),
    [
        (2000, 100, None, LEAST_PICTURES),
        (300, 100, None, 400),
        (2000, 600, 300, LEAST_PICTURES),
        (500, 1500, None, 1500),
    ],
    ids=["filled with training pictures", "all there are", "validation before training", "enough were published"],
)
def test_a_thousand_pictures_are_compared_when_there_are_that_many(table, train, validation, test, wanted):
    pictures = PictureSet(pictures_of(train, 3), pictures_of(validation), test and pictures_of(test), [])
    published = table.scores(pictures.published.pixels)

    found = sample_of(pictures, published, table)

    assert len(found.float32) == sum(map(len, found.parts)) == wanted
    assert found.parts[0] is pictures.published
    assert {part.pixels.shape[1:] for part in found.parts} == {(2, 2, 3)}
    assert all(part.pixels.flags.c_contiguous for part in found.parts)  # no view that keeps the larger ones


def test_a_paired_difference_has_a_narrow_interval_though_the_metric_has_not():
    targets = np.tile(np.arange(2), 100)
    first, second = targets.copy(), targets.copy()
    first[:60] = 1 - first[:60]
    second[:58] = 1 - second[:58]

    value, low, high = paired("accuracy", first, second, targets, 2)

    assert value == pytest.approx(-0.01)
    assert -0.04 < low <= value <= high <= 0
