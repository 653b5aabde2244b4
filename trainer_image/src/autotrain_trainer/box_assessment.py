"""ObjectDetection: what a finished model is worth. No torch here."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import PairedDifference, ResolvedPreprocessing
from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.tasks import Scores
from autotrain_server.tasks.boxes import Boxes, decode, ious
from autotrain_server.tasks.detection import NMS_IOU, SCORE_THRESHOLD, in_picture
from autotrain_trainer.box_metrics import (
    Known,
    Matches,
    class_precisions,
    counted,
    match,
    measure,
    paired,
    worst_classes,
)
from autotrain_trainer.box_report import plot_curves, plot_samples, write_boxes
from autotrain_trainer.data.boxes import CROWD, Truth
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.label_report import write_classes
from autotrain_trainer.report import PER_CLASS

GOLDEN_MOST = 16
GOLDEN_BYTES = 8_000_000
"""Of all golden pictures and their scores."""
SAME_PLACE = 0.9
"""IoU from which a box of a lower precision lies where that of Float32 does."""


class BoxAssessment:
    """Scores are the detector's rows, float32 [n, locations, 4 + 1 + classes]."""

    def __init__(self, classes: Sequence[str], preprocessing: ResolvedPreprocessing, metric: str) -> None:
        self._classes = classes
        self._preprocessing = preprocessing
        self._size = (preprocessing.height, preprocessing.width)
        self._metric = metric
        self._matched: dict[tuple[bytes, int], Matches] = {}

    def golden(self, scores: Scores, pictures: Pictures) -> list[int]:
        """A picture with each class, then others in their order, as long as the files stay small."""
        one = pictures.pixels[0].nbytes + scores[0].nbytes
        most = min(GOLDEN_MOST, max(1, GOLDEN_BYTES // one))
        chosen: dict[int, None] = {}
        for label in range(len(self._classes)):
            having = (row for row, truth in enumerate(pictures.targets) if label in truth.labels)
            chosen |= dict.fromkeys(list(having)[:1])
        return [*chosen, *(row for row in range(len(pictures)) if row not in chosen)][:most]

    def label(self, pictures: Pictures, row: int) -> str:
        """Such as "2 cat, dog"; nothing for a picture without boxes."""
        counts = Counter(self._classes[label] for label in pictures.targets[row].labels.tolist() if label != CROWD)
        return ", ".join(f"{count} {name}" if count > 1 else name for name, count in sorted(counts.items()))

    def measure(self, scores: Scores, pictures: Pictures) -> list[MetricValue]:
        return measure(self._matches(scores, pictures), self._metric)

    def worst_classes(self, scores: Scores, pictures: Pictures) -> list[ClassMetric]:
        return worst_classes(self._matches(scores, pictures), self._classes)

    def agreement(self, lower: Scores, float32: Scores) -> NDArray[np.float64]:
        """The share of the boxes of a picture that lie in the same place in both."""
        return np.array(
            [same_boxes(self._shown(one), self._shown(other)) for one, other in zip(lower, float32, strict=True)]
        )

    def loss_difference(self, lower: Scores, float32: Scores, parts: Sequence[Pictures]) -> float:
        return 0.0

    def metric_difference(self, lower: Scores, float32: Scores, pictures: Pictures) -> PairedDifference:
        value, low, high = paired(self._metric, self._matches(lower, pictures), self._matches(float32, pictures))
        return PairedDifference(name=self._metric, value=value, low=low, high=high)

    def report(self, folder: Path, scores: Scores, pictures: Pictures) -> None:
        shown = [self._shown(row) for row in scores]
        plot_samples(folder / "sample_detections.png", pictures, shown, self._classes)
        matches = self._matches(scores, pictures)
        plot_curves(folder / "precision_recall.png", matches, self._classes)
        columns, boxes = class_precisions(matches), np.array([one.positives.sum() for one in matches])
        write_classes(folder / PER_CLASS, self._classes, columns, boxes)
        placed = [self._in_picture(boxes, truth) for boxes, truth in zip(shown, pictures.targets, strict=True)]
        write_boxes(folder / "predictions.csv", pictures, placed, self._classes)

    def _matches(self, scores: Scores, pictures: Pictures) -> Matches:
        """What `match` says of these scores; the same ones are asked about again and again."""
        key = hashlib.blake2b(np.ascontiguousarray(scores).data).digest(), id(pictures)
        if key not in self._matched:
            self._matched[key] = self._match(scores, pictures)
        return self._matched[key]

    def _match(self, scores: Scores, pictures: Pictures) -> Matches:
        """In pixels of the pictures themselves, as answers are."""
        found = [
            self._in_picture(counted(row, *self._size), truth)
            for row, truth in zip(scores, pictures.targets, strict=True)
        ]
        known = [Known(truth.corners, truth.labels) for truth in pictures.targets]
        return match(found, known, len(self._classes))

    def _shown(self, row: Scores) -> Boxes:
        return decode(row, *self._size, SCORE_THRESHOLD, NMS_IOU)

    def _in_picture(self, boxes: Boxes, truth: Truth) -> Boxes:
        return in_picture(boxes, truth.width, truth.height, self._preprocessing)


def same_boxes(one: Boxes, other: Boxes) -> float:
    """The share of all boxes that have a partner of their class in the same place; 1 when there are none at all."""
    free, pairs = np.ones(len(other.scores), np.bool_), 0
    for corners, label in zip(one.corners, one.labels, strict=True):
        overlaps = np.where(free & (other.labels == label), ious(corners, other.corners), 0)
        if len(overlaps) and overlaps.max() >= SAME_PLACE:
            free[int(overlaps.argmax())] = False
            pairs += 1
    boxes = len(one.scores) + len(other.scores)
    return 2 * pairs / boxes if boxes else 1.0
