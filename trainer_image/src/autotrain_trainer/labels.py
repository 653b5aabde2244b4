"""One label per picture: its targets, and what a finished model is worth. No torch here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import PairedDifference, ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.preprocess import Picture
from autotrain_server.tasks import Scores
from autotrain_server.tasks.classification import softmax
from autotrain_trainer.assessment import Scored
from autotrain_trainer.calibration import Bins, bins_of, calibrated, temperature_of
from autotrain_trainer.data.coverage import check_coverage
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.data.samples import Sample
from autotrain_trainer.label_report import (
    plot_confusion,
    plot_mistakes,
    plot_reliability,
    write_classes,
    write_predictions,
)
from autotrain_trainer.measure import class_shares, confusion, measure, paired, worst_classes
from autotrain_trainer.report import PER_CLASS

GOLDEN_MOST = 64
GOLDEN_CLOSE = 8
"""How many golden pictures are chosen for their small margin between the first two classes."""


def label_sample(name: str, label: object, read: Callable[[], bytes]) -> Sample:
    """A picture that an own function found."""
    return Sample(name, str(label), read)


class Labels:
    """Targets while pictures are read: int64 [n], positions of the classes."""

    def __init__(self, classes: Sequence[str], count: int) -> None:
        self._position = {name: index for index, name in enumerate(classes)}
        self._targets = np.zeros(count, np.int64)

    def put(self, row: int, sample: Sample, picture: Picture, preprocessing: ResolvedPreprocessing) -> None:
        self._targets[row] = self._position[sample.label]

    def collect(self, rows: Sequence[int]) -> NDArray[np.int64]:
        return self._targets[list(rows)]


def check_classes(pictures: PictureSet, classes: Sequence[str]) -> str:
    """What is not known of some classes, or "". Raises RunError when there is nothing to tell apart, or to learn from."""
    if len(set(pictures.train.targets.tolist())) < 2:
        raise failure(Reason.DATA_ONE_CLASS, "the training part has pictures of one class only")
    return check_coverage(pictures, classes, lambda sample: (sample.label,))


class LabelAssessment:
    def __init__(self, classes: Sequence[str], metric: str) -> None:
        self._classes = classes
        self._metric = metric
        self._temperature = 1.0

    def calibrate(self, validation: Scored, published: Scored) -> dict[str, Any]:
        """Choose the temperature; the errors are of the confidence in the first class."""
        scores, pictures = validation
        self._temperature = temperature_of(lambda value: float(nll_of(scores / value, pictures.targets).sum()))
        return calibrated(
            self._temperature, *(self._reliability(*published, value) for value in (1, self._temperature))
        )

    def _reliability(self, scores: Scores, pictures: Pictures, temperature: float) -> Bins:
        right = scores.argmax(axis=1) == pictures.targets
        return bins_of(softmax(scores / temperature).max(axis=1), right)

    def golden(self, scores: Scores, pictures: Pictures) -> list[int]:
        """A picture of each class, then those that were decided most narrowly."""
        order = np.sort(scores, axis=1)
        margins = order[:, -1] - order[:, -2]
        firsts = [int(np.flatnonzero(pictures.targets == label)[0]) for label in np.unique(pictures.targets)]
        chosen = firsts[: GOLDEN_MOST - GOLDEN_CLOSE]
        return chosen + [int(index) for index in np.argsort(margins) if int(index) not in chosen][:GOLDEN_CLOSE]

    def label(self, pictures: Pictures, row: int) -> str:
        return pictures.samples[row].label

    def measure(self, scores: Scores, pictures: Pictures) -> list[MetricValue]:
        return measure(scores.argmax(axis=1), pictures.targets, len(self._classes), self._metric)

    def worst_classes(self, scores: Scores, pictures: Pictures) -> list[ClassMetric]:
        return worst_classes(self._confusion(scores, pictures), self._classes)

    def _confusion(self, scores: Scores, pictures: Pictures) -> NDArray[np.int64]:
        return confusion(scores.argmax(axis=1), pictures.targets, len(self._classes))

    def agreement(self, lower: Scores, float32: Scores) -> NDArray[np.bool_]:
        return np.asarray(lower.argmax(axis=1) == float32.argmax(axis=1))

    def loss_difference(self, lower: Scores, float32: Scores, parts: Sequence[Pictures]) -> float:
        """Of the negative log-likelihood of the labels."""
        targets = np.concatenate([part.targets for part in parts])
        return float(np.mean(nll_of(lower, targets) - nll_of(float32, targets)))

    def metric_difference(self, lower: Scores, float32: Scores, pictures: Pictures) -> PairedDifference:
        predicted, wanted = lower.argmax(axis=1), float32.argmax(axis=1)
        value, low, high = paired(self._metric, predicted, wanted, pictures.targets, len(self._classes))
        return PairedDifference(name=self._metric, value=value, low=low, high=high)

    def report(self, folder: Path, scores: Scores, pictures: Pictures) -> None:
        confidences = softmax(scores / self._temperature)
        counts = self._confusion(scores, pictures)
        plot_confusion(folder / "confusion_matrix.png", counts, self._classes)
        write_classes(folder / PER_CLASS, self._classes, class_shares(counts), counts.sum(axis=1))
        before, after = (self._reliability(scores, pictures, value) for value in (1, self._temperature))
        plot_reliability(folder / "reliability.png", before, after)
        plot_mistakes(folder / "worst_mistakes.png", pictures, confidences, self._classes)
        write_predictions(folder / "predictions.csv", pictures, confidences, self._classes)


def nll_of(scores: Scores, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative log-likelihood of each picture's label."""
    wide = scores.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets])
