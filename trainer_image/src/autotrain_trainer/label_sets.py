"""A set of labels per picture: its targets, and what a finished model is worth. No torch here."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import PairedDifference, ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.preprocess import Picture
from autotrain_server.tasks import Scores
from autotrain_server.tasks.multilabel import sigmoid
from autotrain_trainer.assessment import Scored
from autotrain_trainer.calibration import Bins, bins_of, calibrated, temperature_of
from autotrain_trainer.data.coverage import check_coverage
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.label_set_tables import SetSample
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.data.samples import Sample
from autotrain_trainer.label_report import GRID_MOST, plot_grid, plot_reliability, plot_shares, write_classes
from autotrain_trainer.label_set_measure import Truth, measure_sets, paired_sets, per_class, worst_sets
from autotrain_trainer.labels import GOLDEN_CLOSE, GOLDEN_MOST
from autotrain_trainer.report import PER_CLASS

NONE = "no label"


class LabelSets:
    """Targets while pictures are read: uint8 [n, classes], 1 for a label."""

    def __init__(self, classes: Sequence[str], count: int) -> None:
        self._position = {name: index for index, name in enumerate(classes)}
        self._targets = np.zeros((count, len(classes)), np.uint8)

    def put(self, row: int, sample: Sample, picture: Picture, preprocessing: ResolvedPreprocessing) -> None:
        for label in cast(SetSample, sample).labels:
            self._targets[row, self._position[label]] = 1

    def collect(self, rows: Sequence[int]) -> Truth:
        return self._targets[list(rows)]


def check_label_sets(pictures: PictureSet, classes: Sequence[str]) -> str:
    """What is not known of some classes, or "". Raises RunError when there is nothing to tell apart, or to learn from."""
    targets = pictures.train.targets
    if (targets == targets[0]).all():
        raise failure(Reason.DATA_ONE_CLASS, "all pictures of the training part have the same labels")
    return check_coverage(pictures, classes, lambda sample: cast(SetSample, sample).labels)


class LabelSetAssessment:
    def __init__(self, classes: Sequence[str], metric: str) -> None:
        self._classes = classes
        self._metric = metric
        self._temperature = 1.0

    def calibrate(self, validation: Scored, published: Scored) -> dict[str, Any]:
        """Choose the temperature; the errors are of every class of every picture."""
        scores, pictures = validation
        truth, count = pictures.targets, scores.size
        self._temperature = temperature_of(lambda value: float(losses_of(scores / value, truth).mean()) * count)
        return calibrated(
            self._temperature, *(self._reliability(*published, value) for value in (1, self._temperature))
        )

    def _reliability(self, scores: Scores, pictures: Pictures, temperature: float) -> Bins:
        return bins_of(sigmoid(scores / temperature).ravel(), pictures.targets.ravel() == 1)

    def golden(self, scores: Scores, pictures: Pictures) -> list[int]:
        """A picture with each label, then those in which a class was decided most narrowly."""
        firsts = [int(column.argmax()) for column in pictures.targets.T if column.any()]
        chosen = list(dict.fromkeys(firsts))[: GOLDEN_MOST - GOLDEN_CLOSE]
        close = np.argsort(np.abs(scores).min(axis=1), kind="stable").tolist()
        return chosen + [row for row in close if row not in chosen][:GOLDEN_CLOSE]

    def label(self, pictures: Pictures, row: int) -> str:
        return pictures.samples[row].label or NONE

    def measure(self, scores: Scores, pictures: Pictures) -> list[MetricValue]:
        return measure_sets(scores, pictures.targets, self._metric)

    def worst_classes(self, scores: Scores, pictures: Pictures) -> list[ClassMetric]:
        return worst_sets(per_class(scores, pictures.targets), self._classes)

    def agreement(self, lower: Scores, float32: Scores) -> NDArray[np.float64]:
        """Labels that both predict, of those that one predicts."""
        shared, either = ((lower >= 0) & (float32 >= 0)).sum(axis=1), ((lower >= 0) | (float32 >= 0)).sum(axis=1)
        return np.asarray(np.where(either > 0, shared / np.maximum(either, 1), 1.0))

    def loss_difference(self, lower: Scores, float32: Scores, parts: Sequence[Pictures]) -> float:
        """Of the binary cross-entropy."""
        truth = np.concatenate([part.targets for part in parts])
        return float(np.mean(losses_of(lower, truth) - losses_of(float32, truth)))

    def metric_difference(self, lower: Scores, float32: Scores, pictures: Pictures) -> PairedDifference:
        value, low, high = paired_sets(self._metric, lower, float32, pictures.targets)
        return PairedDifference(name=self._metric, value=value, low=low, high=high)

    def report(self, folder: Path, scores: Scores, pictures: Pictures) -> None:
        found = per_class(scores, pictures.targets)
        plot_shares(folder / "classes.png", found.average_precision, self._classes, "average precision")
        columns = {
            "average precision": found.average_precision,
            "precision": found.precision,
            "recall": found.recall,
            "f1": found.f1,
        }
        write_classes(folder / PER_CLASS, self._classes, columns, found.support)
        before, after = (self._reliability(scores, pictures, value) for value in (1, self._temperature))
        plot_reliability(folder / "reliability.png", before, after)
        losses = losses_of(scores, pictures.targets)
        wrong = ((scores >= 0) != pictures.targets.astype(bool)).any(axis=1)
        worst = [row for row in np.argsort(-losses, kind="stable").tolist() if wrong[row]][:GRID_MOST]
        titles = [f"{self.label(pictures, row)}\ntaken for {self._said(scores[row])}" for row in worst]
        heading = f"{int(wrong.sum())} of {len(pictures)} pictures have a wrong label or miss one"
        plot_grid(folder / "worst_mistakes.png", [pictures.pixels[row] for row in worst], titles, heading)
        self._write_predictions(folder / "predictions.csv", scores, pictures)

    def _said(self, logits: Scores) -> str:
        return ", ".join(self._classes[place] for place in np.flatnonzero(logits >= 0).tolist()) or NONE

    def _write_predictions(self, path: Path, scores: Scores, pictures: Pictures) -> None:
        """One row per picture: name, labels, predictions, and the confidence of every class."""
        confidences = sigmoid(scores / self._temperature)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "labels", "predictions", *self._classes])
            for sample, row, values in zip(pictures.samples, scores, confidences, strict=True):
                said = self._said(row) if (row >= 0).any() else ""
                writer.writerow([sample.name, sample.label, said, *(f"{value:.6f}" for value in values)])


def losses_of(scores: Scores, truth: Truth) -> NDArray[np.float64]:
    """Binary cross-entropy of each picture, the mean over classes."""
    wide = scores.astype(np.float64)
    return np.asarray(np.mean(np.logaddexp(0, wide) - wide * truth, axis=1))
