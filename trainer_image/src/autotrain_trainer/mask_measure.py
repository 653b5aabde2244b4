"""Metrics of masks, with intervals over pictures. Pure functions over arrays.

Intersection over union of a class is taken over the pixels of all pictures together; pixels of unknown class do not count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_trainer.data.mask_values import IGNORE, Mask
from autotrain_trainer.measure import BOOTSTRAP_ROUNDS, WORST

METRICS = ("mIoU", "foregroundIoU")
Counts = NDArray[np.int64]


class Overlaps(NamedTuple):
    """Pixels per picture, [n, classes]; the last column is everything that is not background."""

    shared: Counts
    either: Counts

    @staticmethod
    def joined(parts: Sequence["Overlaps"]) -> "Overlaps":
        return Overlaps(
            np.concatenate([part.shared for part in parts]), np.concatenate([part.either for part in parts])
        )

    def chosen(self, rows: NDArray[np.int64]) -> "Overlaps":
        return Overlaps(self.shared[rows], self.either[rows])

    def ious(self) -> NDArray[np.float64]:
        """[classes + 1], over all pictures; NaN for a class that occurs nowhere."""
        shared, either = self.shared.sum(axis=0), self.either.sum(axis=0)
        return np.asarray(np.divide(shared, either, out=np.full(len(shared), np.nan), where=either > 0))


def overlaps_of(predicted: Mask, targets: Mask, classes: int) -> Overlaps:
    """uint8 [n, height, width] each."""
    shared, either = np.zeros((2, len(targets), classes + 1), np.int64)
    for row, (found, truth) in enumerate(zip(predicted, targets, strict=True)):
        known = truth != IGNORE
        table = np.bincount(truth[known].astype(np.int64) * classes + found[known], minlength=classes**2)
        counts = table.reshape(classes, classes)
        shared[row, :classes] = np.diag(counts)
        either[row, :classes] = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
        shared[row, classes] = counts[1:, 1:].sum()
        either[row, classes] = counts.sum() - counts[0, 0]
    return Overlaps(shared, either)


def metric_of(metric: str, overlaps: Overlaps) -> float:
    """One metric by its name in the API; classes that occur nowhere do not count."""
    ious = overlaps.ious()
    if metric == "foregroundIoU":
        return float(np.nan_to_num(ious[-1]))
    own = ious[1:-1]
    return float(np.mean(own[~np.isnan(own)])) if not np.isnan(own).all() else 0.0


def measure_masks(overlaps: Overlaps, first: str) -> list[MetricValue]:
    """Every metric with its 95 % interval, `first` first."""
    samples = len(overlaps.shared)
    values = []
    for name in sorted(METRICS, key=lambda name: name != first):
        low, high = np.percentile([metric_of(name, overlaps.chosen(rows)) for rows in _rounds(samples)], [2.5, 97.5])
        value = metric_of(name, overlaps)
        values.append(MetricValue(name=name, value=value, samples=samples, low=float(low), high=float(high)))
    return values


def paired_masks(metric: str, first: Overlaps, second: Overlaps) -> tuple[float, float, float]:
    """The metric of `first` minus that of `second` on the same pictures, with a 95 % bootstrap interval."""

    def difference(rows: NDArray[np.int64]) -> float:
        return metric_of(metric, first.chosen(rows)) - metric_of(metric, second.chosen(rows))

    samples = len(first.shared)
    low, high = np.percentile([difference(rows) for rows in _rounds(samples)], [2.5, 97.5])
    return difference(np.arange(samples)), float(low), float(high)


def _rounds(samples: int) -> list[NDArray[np.int64]]:
    random = np.random.default_rng(0)
    return [random.integers(0, samples, samples) for _ in range(BOOTSTRAP_ROUNDS)]


def worst_masks(overlaps: Overlaps, names: Sequence[str]) -> list[ClassMetric]:
    """The classes with the lowest IoU, the worst first, without the background."""
    found = [(value, name) for value, name in zip(overlaps.ious()[1:-1], names[1:], strict=True) if not np.isnan(value)]
    return [ClassMetric(name=name, value=round(float(value), 4)) for value, name in sorted(found)[:WORST]]
