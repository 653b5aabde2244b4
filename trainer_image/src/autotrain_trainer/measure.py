"""Metrics of predictions, with intervals. Pure functions over arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotrain_api.outcome import ClassMetric, MetricValue

Z = 1.959964
"""Standard normal quantile of a 95 % interval."""
BOOTSTRAP_ROUNDS = 300
WORST = 5
Integers = NDArray[np.int64]


def confusion(predicted: Integers, targets: Integers, classes: int) -> NDArray[np.int64]:
    """Counts [true class, predicted class]."""
    counts = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def accuracy(counts: NDArray[np.int64]) -> float:
    return float(np.trace(counts) / max(1, counts.sum()))


def macro_f1(counts: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that occur, as a label or as a prediction."""
    hits = np.diag(counts)
    sums = counts.sum(axis=0) + counts.sum(axis=1)
    present = sums > 0
    return float(np.mean(2 * hits[present] / sums[present])) if present.any() else 0.0


def class_shares(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Precision, recall and F1 of each class; NaN where nothing was predicted, or labelled, as it."""
    hits, said, labelled = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    parts = {"precision": (hits, said), "recall": (hits, labelled), "f1": (2 * hits, said + labelled)}
    return {
        name: np.divide(part, whole, out=np.full(len(counts), np.nan), where=whole > 0)
        for name, (part, whole) in parts.items()
    }


METRICS = {"accuracy": accuracy, "macroF1": macro_f1}


def value_of(metric: str, predicted: Integers, targets: Integers, classes: int) -> float:
    """One metric by its name in the API."""
    return METRICS[metric](confusion(predicted, targets, classes))


def measure(predicted: Integers, targets: Integers, classes: int, first: str) -> list[MetricValue]:
    """Every metric with its 95 % interval, `first` first."""
    values = []
    for name in sorted(METRICS, key=lambda name: name != first):
        value = value_of(name, predicted, targets, classes)
        low, high = wilson(value, len(targets)) if name == "accuracy" else bootstrap(name, predicted, targets, classes)
        values.append(MetricValue(name=name, value=value, samples=len(targets), low=low, high=high))
    return values


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927)."""
    spread = Z * np.sqrt(share * (1 - share) / samples + Z**2 / (4 * samples**2))
    centre = share + Z**2 / (2 * samples)
    scale = 1 + Z**2 / samples
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def bootstrap(metric: str, predicted: Integers, targets: Integers, classes: int) -> tuple[float, float]:
    """Percentile bootstrap over the samples, with a fixed seed."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(BOOTSTRAP_ROUNDS):
        chosen = random.integers(0, len(targets), len(targets))
        values.append(value_of(metric, predicted[chosen], targets[chosen], classes))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired(
    metric: str, predicted: Integers, other: Integers, targets: Integers, classes: int
) -> tuple[float, float, float]:
    """Value of a metric for `predicted` minus that for `other` on the same samples, with a 95 % bootstrap interval."""

    def difference(chosen: Integers) -> float:
        first, second = (value_of(metric, side[chosen], targets[chosen], classes) for side in (predicted, other))
        return first - second

    random = np.random.default_rng(0)
    samples = len(targets)
    values = [difference(random.integers(0, samples, samples)) for _ in range(BOOTSTRAP_ROUNDS)]
    low, high = np.percentile(values, [2.5, 97.5])
    return difference(np.arange(samples)), float(low), float(high)


def worst_classes(counts: NDArray[np.int64], names: Sequence[str]) -> list[ClassMetric]:
    """The classes with the lowest recall, the worst first."""
    totals = counts.sum(axis=1)
    recalls = [(hits / total, name) for hits, total, name in zip(np.diag(counts), totals, names, strict=True) if total]
    return [ClassMetric(name=name, value=round(float(recall), 4)) for recall, name in sorted(recalls)[:WORST]]
