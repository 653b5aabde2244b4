"""COCO's average precision of found boxes, with intervals. Matching is pycocotools'; everything after it is arrays here,
so that a bootstrap over the pictures does not match again. Source: https://cocodataset.org/#detection-eval
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.tasks import Scores
from autotrain_server.tasks.boxes import Boxes, decode
from autotrain_server.tasks.detection import NMS_IOU
from autotrain_trainer.data.boxes import CROWD

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU from which a box counts as found."""
EVERY, FIRST = slice(None), slice(1)
"""Positions in THRESHOLDS"""
RECALLS = np.linspace(0, 1, 101)
BOOTSTRAP_ROUNDS = 300
COUNTED_SCORE = 0.05
"""Boxes with a lower score are not measured: there are many, and they change next to nothing."""
COUNTED_BOXES = 100
"""Of a picture, as COCO does."""
WORST = 5

Weights = NDArray[np.float64]
"""[n], how often each picture counts"""


class Known(NamedTuple):
    """The true boxes of one picture."""

    corners: NDArray[np.float64]
    """[m, 4]: x0, y0, x1, y1"""
    labels: NDArray[np.int64]
    """[m], positions of classes, or CROWD"""


class ClassMatches(NamedTuple):
    """The found boxes of one class, the most certain first."""

    scores: NDArray[np.float64]
    """[d]"""
    pictures: NDArray[np.int64]
    """[d], position of the picture"""
    hits: NDArray[np.bool_]
    """[thresholds, d]"""
    counted: NDArray[np.bool_]
    """[thresholds, d]; False for a box in a crowd"""
    positives: NDArray[np.int64]
    """[n], true boxes of the class in each picture"""


Matches = list[ClassMatches]
"""One for each class."""


def counted(rows: Scores, height: int, width: int) -> Boxes:
    """The boxes of one picture that are measured, in pixels of the network's input; see `decode`."""
    return decode(rows, height, width, COUNTED_SCORE, NMS_IOU, COUNTED_BOXES)


def match(found: Sequence[Boxes], known: Sequence[Known], classes: int) -> Matches:
    """Found and true boxes of the same pictures, in the same pixels."""
    evaluation = _evaluate(found, known, classes)
    entries = np.array(evaluation.evalImgs, dtype=object).reshape(classes, len(known)).tolist()
    return [_class_matches(row, len(known)) for row in entries]


def _evaluate(found: Sequence[Boxes], known: Sequence[Known], classes: int) -> Any:
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in range(len(known))],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": _numbered([entry for number, one in enumerate(known) for entry in _known(number, one, classes)]),
    }
    answers = COCO()
    answers.dataset = truth.dataset | {
        "annotations": _numbered([entry for number, one in enumerate(found) for entry in _found(number, one)])
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        answers.createIndex()
        evaluation = COCOeval(truth, answers, "bbox")
        evaluation.params.iouThrs = THRESHOLDS
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [COUNTED_BOXES]
        evaluation.evaluate()
    return evaluation


def _numbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ids begin with 1: pycocotools takes a match with 0 for none."""
    return [entry | {"id": number} for number, entry in enumerate(entries, start=1)]


def _known(number: int, one: Known, classes: int) -> list[dict[str, Any]]:
    """A crowd may hold any class."""
    return [
        _box(number, corners) | {"category_id": category, "iscrowd": int(label == CROWD)}
        for corners, label in zip(one.corners.tolist(), one.labels.tolist(), strict=True)
        for category in (range(classes) if label == CROWD else (label,))
    ]


def _found(number: int, one: Boxes) -> list[dict[str, Any]]:
    rows = zip(one.corners.tolist(), one.labels.tolist(), one.scores.tolist(), strict=True)
    return [_box(number, corners) | {"category_id": label, "score": score} for corners, label, score in rows]


def _box(number: int, corners: list[float]) -> dict[str, Any]:
    x0, y0, x1, y1 = corners
    return {"image_id": number, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}


def _class_matches(entries: list[dict[str, Any] | None], pictures: int) -> ClassMatches:
    """pycocotools' results of one class, a picture each."""
    positives = np.zeros(pictures, np.int64)
    scores, places = [np.zeros(0)], [np.zeros(0, np.int64)]
    hits, counted = [np.zeros((len(THRESHOLDS), 0), np.bool_)], [np.zeros((len(THRESHOLDS), 0), np.bool_)]
    for number, entry in enumerate(entries):
        if entry is None:
            continue
        positives[number] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
        scores.append(np.asarray(entry["dtScores"], np.float64))
        places.append(np.full(len(scores[-1]), number))
        hits.append(np.asarray(entry["dtMatches"]) > 0)
        counted.append(np.asarray(entry["dtIgnore"]) == 0)
    every = np.concatenate(scores)
    order = np.argsort(-every, kind="stable")
    return ClassMatches(
        every[order],
        np.concatenate(places)[order],
        np.concatenate(hits, axis=1)[:, order],
        np.concatenate(counted, axis=1)[:, order],
        positives,
    )


def curve(matches: ClassMatches, weights: Weights, thresholds: slice = EVERY) -> NDArray[np.float64]:
    """Precision at RECALLS, [thresholds, 101]; NaN when the class does not occur. `weights` [n] count the pictures."""
    hits, counted = matches.hits[thresholds], matches.counted[thresholds]
    positives = float(weights @ matches.positives)
    if not positives:
        return np.full((len(hits), len(RECALLS)), np.nan)
    share = weights[matches.pictures] * counted
    right = np.cumsum(share * hits, axis=1)
    wrong = np.cumsum(share * ~hits, axis=1)
    recall, precision = right / positives, right / np.maximum(right + wrong, np.spacing(1))
    best_later = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([best_later, np.zeros((len(hits), 1))], axis=1)
    places = np.stack([np.searchsorted(row, RECALLS, side="left") for row in recall])
    return np.take_along_axis(padded, places, axis=1)


def average_precisions(
    matches: Matches, weights: Weights | None = None, thresholds: slice = EVERY
) -> NDArray[np.float64]:
    """[classes, thresholds]; NaN for classes that do not occur."""
    counts = weights if weights is not None else np.ones(len(matches[0].positives))
    return np.stack([curve(one, counts, thresholds).mean(axis=1) for one in matches])


METRICS = {"mAP50": FIRST, "mAP": EVERY}
"""The thresholds over which a metric is the mean."""


def metric_of(name: str, matches: Matches, weights: Weights | None = None) -> float:
    """The mean over the classes that occur; 0 when none does."""
    return mean_known(average_precisions(matches, weights, METRICS[name]))


def class_precisions(matches: Matches) -> dict[str, NDArray[np.float64]]:
    """The metrics of each class, [classes]; NaN where it does not occur."""
    values = average_precisions(matches)
    return {"AP50": values[:, 0], "AP": values.mean(axis=1)}


def mean_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else 0.0


def measure(matches: Matches, first: str) -> list[MetricValue]:
    """Every metric with its 95 % interval, `first` first."""
    samples = len(matches[0].positives)
    drawn = [average_precisions(matches, weights) for weights in resampled(samples)]
    values = []
    for name in sorted(METRICS, key=lambda name: name != first):
        low, high = np.percentile([mean_known(one[:, METRICS[name]]) for one in drawn], [2.5, 97.5])
        value = metric_of(name, matches)
        interval = {"low": min(float(low), value), "high": max(float(high), value)}
        values.append(MetricValue(name=name, value=value, samples=samples, **interval))
    return values


def paired(metric: str, matches: Matches, other: Matches) -> tuple[float, float, float]:
    """A metric of `matches` minus that of `other` on the same pictures, with its 95 % interval."""

    def difference(weights: Weights | None) -> float:
        return metric_of(metric, matches, weights) - metric_of(metric, other, weights)

    values = [difference(weights) for weights in resampled(len(matches[0].positives))]
    low, high = np.percentile(values, [2.5, 97.5])
    return difference(None), float(low), float(high)


def resampled(pictures: int) -> list[Weights]:
    """How often each picture is drawn in each round of the bootstrap, with a fixed seed."""
    random = np.random.default_rng(0)
    shares = np.full(pictures, 1 / pictures)
    return [random.multinomial(pictures, shares).astype(np.float64) for _ in range(BOOTSTRAP_ROUNDS)]


def worst_classes(matches: Matches, names: Sequence[str]) -> list[ClassMetric]:
    """The classes with the lowest AP50, the worst first."""
    values = average_precisions(matches, thresholds=FIRST)[:, 0]
    known = [(float(value), name) for value, name in zip(values, names, strict=True) if not np.isnan(value)]
    return [ClassMetric(name=name, value=round(value, 4)) for value, name in sorted(known)[:WORST]]
