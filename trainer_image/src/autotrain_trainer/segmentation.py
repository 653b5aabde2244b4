"""Segmentation: what a finished model is worth. No torch here."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import PairedDifference
from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.tasks import Scores
from autotrain_trainer.data.mask_values import IGNORE
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.mask_measure import Overlaps, measure_masks, overlaps_of, paired_masks, worst_masks
from autotrain_trainer.mask_report import plot_classes, plot_masks

GOLDEN_MOST = 16
GOLDEN_UNSURE = 4
"""How many golden pictures are chosen for the low probability of their pixels."""
GOLDEN_BYTES = 8_000_000
"""Golden inputs and scores stay below this, with one picture at the least."""


class MaskAssessment:
    def __init__(self, classes: Sequence[str], metric: str) -> None:
        self._classes = classes
        self._metric = metric

    def _overlaps(self, scores: Scores, pictures: Pictures) -> Overlaps:
        return overlaps_of(scores[:, 0], pictures.targets, len(self._classes))

    def golden(self, scores: Scores, pictures: Pictures) -> list[int]:
        """A picture of each class that is found, then those that were decided least surely."""
        most = max(1, min(GOLDEN_MOST, GOLDEN_BYTES // (scores[0].nbytes + pictures.pixels[0].nbytes)))
        firsts = []
        for position in range(1, len(self._classes)):
            sizes = (scores[:, 0] == position).sum(axis=(1, 2))
            firsts += [int(sizes.argmax())] if sizes.any() else []
        chosen = list(dict.fromkeys(firsts))[: max(1, most - GOLDEN_UNSURE)]
        unsure = np.argsort(scores[:, 1].mean(axis=(1, 2)), kind="stable").tolist()
        return (chosen + [row for row in unsure if row not in chosen][:GOLDEN_UNSURE])[:most]

    def label(self, pictures: Pictures, row: int) -> str:
        """The classes of the true mask."""
        return ", ".join(self._classes[value] for value in np.unique(pictures.targets[row]) if value not in (0, IGNORE))

    def measure(self, scores: Scores, pictures: Pictures) -> list[MetricValue]:
        return measure_masks(self._overlaps(scores, pictures), self._metric)

    def worst_classes(self, scores: Scores, pictures: Pictures) -> list[ClassMetric]:
        return worst_masks(self._overlaps(scores, pictures), self._classes)

    def agreement(self, lower: Scores, float32: Scores) -> NDArray[np.float64]:
        """Share of the pixels with the same class."""
        return np.asarray((lower[:, 0] == float32[:, 0]).mean(axis=(1, 2)))

    def loss_difference(self, lower: Scores, float32: Scores, parts: Sequence[Pictures]) -> float:
        """Maps have no likelihood of the classes that did not win."""
        return 0.0

    def metric_difference(self, lower: Scores, float32: Scores, pictures: Pictures) -> PairedDifference:
        value, low, high = paired_masks(
            self._metric, self._overlaps(lower, pictures), self._overlaps(float32, pictures)
        )
        return PairedDifference(name=self._metric, value=value, low=low, high=high)

    def report(self, folder: Path, scores: Scores, pictures: Pictures) -> None:
        overlaps = self._overlaps(scores, pictures)
        ious = overlaps.ious()[1:-1]
        plot_classes(folder / "classes.png", ious, self._classes[1:])
        plot_masks(folder / "masks.png", scores, pictures, self._classes)
        with (folder / "per_class.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["class", "iou", "pictures"])
            present = (overlaps.either[:, 1:-1] > 0).sum(axis=0)
            for name, iou, count in zip(self._classes[1:], ious, present, strict=True):
                writer.writerow([name, "" if np.isnan(iou) else f"{iou:.6f}", count])
