"""Metrics of label sets, with intervals over pictures. Pure functions over arrays.

Scores are logits [n, classes], of which those from 0 up (a probability of one half) are predictions; truth is 0 or 1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_trainer.measure import BOOTSTRAP_ROUNDS, WORST

METRICS = ("mAP", "macroF1")
Logits = NDArray[np.floating]
Truth = NDArray[np.uint8]
Values = NDArray[np.float64]


class PerClass(NamedTuple):
    """[classes] each; NaN where a class has neither labels nor predictions, or (average precision) no labels."""

    average_precision: Values
    precision: Values
    recall: Values
    f1: Values
    support: NDArray[np.int64]


def per_class(scores: Logits, truth: Truth) -> PerClass:
    once = np.ones((1, len(truth)))
    hits, said, labelled = _counts(scores, truth, once)
    return PerClass(
        average_precisions(scores, truth, once)[0],
        _share(hits, said)[0],
        _share(hits, labelled)[0],
        _share(2 * hits, said + labelled)[0],
        labelled[0].astype(np.int64),
    )


def value_of(metric: str, scores: Logits, truth: Truth) -> float:
    """One metric by its name in the API: the mean over the classes that occur; 0 when none does."""
    return float(values_of(metric, scores, truth, np.ones((1, len(truth))))[0])


def values_of(metric: str, scores: Logits, truth: Truth, weights: Values) -> Values:
    """The metric for each row of `weights` [rounds, n], which say how often a picture counts."""
    if metric == "mAP":
        of_classes = average_precisions(scores, truth, weights)
    else:
        hits, said, labelled = _counts(scores, truth, weights)
        of_classes = _share(2 * hits, said + labelled)
    present = ~np.isnan(of_classes)
    return np.asarray(np.nansum(of_classes, axis=1) / np.maximum(1, present.sum(axis=1)))


def average_precisions(scores: Logits, truth: Truth, weights: Values) -> Values:
    """[rounds, classes]: the sum over thresholds of precision times the recall gained there, equal scores together."""
    found = np.full((len(weights), truth.shape[1]), np.nan)
    for position in range(truth.shape[1]):
        order = np.argsort(-scores[:, position], kind="stable")
        ranked = scores[order, position]
        last = np.searchsorted(-ranked, -ranked, side="right") - 1
        counted = weights[:, order]
        hits = counted * truth[order, position]
        precision = _share(np.cumsum(hits, axis=1)[:, last], np.cumsum(counted, axis=1)[:, last])
        found[:, position] = _share(np.nansum(hits * precision, axis=1), hits.sum(axis=1))
    return found


def _counts(scores: Logits, truth: Truth, weights: Values) -> tuple[Values, Values, Values]:
    """[rounds, classes]: right predictions, predictions, labels."""
    said, labelled = (scores >= 0).astype(np.float64), truth.astype(np.float64)
    return weights @ (said * labelled), weights @ said, weights @ labelled


def _share(part: Values, whole: Values) -> Values:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def measure_sets(scores: Logits, truth: Truth, first: str) -> list[MetricValue]:
    """Every metric with its 95 % bootstrap interval, `first` first."""
    weights, values = _rounds(len(truth)), []
    for name in sorted(METRICS, key=lambda name: name != first):
        low, high = np.percentile(values_of(name, scores, truth, weights), [2.5, 97.5])
        value = value_of(name, scores, truth)
        values.append(MetricValue(name=name, value=value, samples=len(truth), low=float(low), high=float(high)))
    return values


def paired_sets(metric: str, scores: Logits, other: Logits, truth: Truth) -> tuple[float, float, float]:
    """The metric of `scores` minus that of `other` on the same pictures, with a 95 % bootstrap interval."""
    weights = _rounds(len(truth))
    differences = values_of(metric, scores, truth, weights) - values_of(metric, other, truth, weights)
    low, high = np.percentile(differences, [2.5, 97.5])
    return value_of(metric, scores, truth) - value_of(metric, other, truth), float(low), float(high)


def _rounds(samples: int) -> Values:
    """How often each picture is drawn, [BOOTSTRAP_ROUNDS, n], with a fixed seed."""
    random = np.random.default_rng(0)
    drawn = (random.integers(0, samples, samples) for _ in range(BOOTSTRAP_ROUNDS))
    return np.stack([np.bincount(rows, minlength=samples) for rows in drawn]).astype(np.float64)


def worst_sets(found: PerClass, names: Sequence[str]) -> list[ClassMetric]:
    """The classes with the lowest average precision, the worst first."""
    values = [(value, name) for value, name in zip(found.average_precision, names, strict=True) if not np.isnan(value)]
    return [ClassMetric(name=name, value=round(float(value), 4)) for value, name in sorted(values)[:WORST]]
