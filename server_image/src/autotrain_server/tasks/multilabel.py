"""Any number of labels per picture: each class has a probability of its own."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from autotrain_api.trainingjob import Postprocessing
from autotrain_server.tasks.base import Scores, Seen, Tensor
from autotrain_server.tasks.classification import PATH as PATH
from autotrain_server.tasks.classification import OfLogits, Top, likeliest, named

THRESHOLD = 0.5
"""The score threshold where the spec gives none."""


class MultiLabelAnswer(BaseModel):
    """Both lists are sorted, the likeliest first."""

    predictions: list[Top]
    """Every class whose confidence reaches the score threshold; none may."""
    top: list[Top]
    """The first classes, whatever their confidence."""


class MultiLabel(OfLogits):
    def answer(self, seen: Seen, settings: Postprocessing) -> MultiLabelAnswer:
        threshold = THRESHOLD if settings.score_threshold is None else settings.score_threshold
        confidences = sigmoid(seen.scores / self.temperature)
        order = likeliest(seen.scores)
        reached = order[confidences[order] >= threshold]
        return MultiLabelAnswer(
            predictions=named(reached, confidences, self.classes, settings),
            top=named(order[: settings.top_k], confidences, self.classes, settings),
        )

    def labels(self, answer: MultiLabelAnswer) -> list[str]:
        return [one.label for one in answer.predictions]

    def tensors(self, count: int) -> dict[str, tuple[str, list[int]]]:
        return {"labels": ("BYTES", [count]), "scores": ("FP32", [count, len(self.classes)])}

    def outputs(self, seen: Sequence[Seen], answers: Sequence[MultiLabelAnswer]) -> dict[str, Tensor]:
        """`labels`: the predicted ones of each picture, a JSON list; `scores`: probabilities in the order of classes."""
        labels = [json.dumps(self.labels(answer), ensure_ascii=False) for answer in answers]
        values: dict[str, list[str] | list[float]] = {
            "labels": labels,
            "scores": [float(value) for one in seen for value in sigmoid(one.scores / self.temperature)],
        }
        return {name: (*form, values[name]) for name, form in self.tensors(len(seen)).items()}


def sigmoid(logits: Scores) -> NDArray[np.float64]:
    """Probability of each class by itself."""
    wide = logits.astype(np.float64)
    small = np.exp(-np.abs(wide))  # never overflows
    return np.asarray(np.where(wide >= 0, 1, small) / (1 + small))
