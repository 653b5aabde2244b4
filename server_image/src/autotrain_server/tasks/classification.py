"""One label per picture: logits become probabilities, the likeliest classes first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.tasks.base import Scores, Seen, Tensor

PATH = "/classification/validate/"
DIGITS = 6
"""Decimals of a confidence in JSON."""


class Top(BaseModel):
    label: str
    confidence: float


class ClassificationAnswer(BaseModel):
    """`top` is sorted, the prediction first."""

    prediction: str
    confidence: float
    top: list[Top]


class OfLogits:
    """What tasks share whose scores are logits, float32 [n, classes]."""

    quick = True
    draws = False

    def __init__(self, classes: Sequence[str], preprocessing: ResolvedPreprocessing, resolved: dict[str, Any]) -> None:
        self.classes = classes
        self.temperature = float(resolved.get("temperature", 1.0))
        """Confidences are those of the logits divided by it; the trainer chose it so that they say how often they are right."""

    def problem(self, scores: Scores) -> str:
        wanted = (len(scores), len(self.classes))
        if scores.shape != wanted or scores.dtype != np.float32:
            return f"scores are {scores.dtype} {scores.shape}, not float32 {wanted}"
        return ""

    def headlines(self, scores: Scores) -> list[str]:
        return [self.classes[int(top)] for top in scores.argmax(axis=1)]

    def difference(self, found: Scores, wanted: Scores, scale: float) -> float:
        """Largest |difference| of a logit, in units of the largest |golden logit|."""
        return float(np.abs(found - wanted).max()) / scale

    drift = difference

    def draw(self, image: Image.Image, answer: Any) -> Image.Image:
        return image


class Classification(OfLogits):
    def answer(self, seen: Seen, settings: Postprocessing) -> ClassificationAnswer:
        confidences = softmax(seen.scores / self.temperature)
        top = named(likeliest(seen.scores)[: settings.top_k], confidences, self.classes, settings)
        return ClassificationAnswer(prediction=top[0].label, confidence=top[0].confidence, top=top)

    def labels(self, answer: ClassificationAnswer) -> list[str]:
        return [answer.prediction]

    def tensors(self, count: int) -> dict[str, tuple[str, list[int]]]:
        return {
            "label": ("BYTES", [count]),
            "confidence": ("FP32", [count]),
            "scores": ("FP32", [count, len(self.classes)]),
        }

    def outputs(self, seen: Sequence[Seen], answers: Sequence[ClassificationAnswer]) -> dict[str, Tensor]:
        """`label` and `confidence` as in JSON, and `scores`: probabilities in the order of the classes."""
        values: dict[str, list[str] | list[float]] = {
            "label": [answer.prediction for answer in answers],
            "confidence": [answer.confidence for answer in answers],
            "scores": [float(value) for one in seen for value in softmax(one.scores / self.temperature)],
        }
        return {name: (*form, values[name]) for name, form in self.tensors(len(answers)).items()}


def likeliest(logits: Scores) -> NDArray[np.intp]:
    """Positions of the classes, the likeliest first; of two alike the first in the order of classes."""
    return np.argsort(-logits, kind="stable")


def named(
    positions: NDArray[np.intp], confidences: NDArray[np.float64], classes: Sequence[str], settings: Postprocessing
) -> list[Top]:
    """These classes, under the names that are shown."""
    return [
        Top(
            label=settings.labels.get(classes[position], classes[position]),
            confidence=round(float(confidences[position]), DIGITS),
        )
        for position in positions.tolist()
    ]


def softmax(logits: Scores) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
