"""A set of labels per picture: what is learned."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.revision import Recipe
from autotrain_server.functions import Change
from autotrain_trainer.augment import BatchAugmentation
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.label_set_measure import value_of
from autotrain_trainer.objective import Target


class LabelSetObjective:
    """Binary cross-entropy of logits [n, classes], each class by itself; targets float32 [n, classes]."""

    def __init__(
        self, recipe: Recipe, preprocessing: ResolvedPreprocessing, metric: str, own: Change | None = None
    ) -> None:
        self._augment = BatchAugmentation(
            recipe.augmentation, preprocessing.height, preprocessing.width, recipe.training.seed, own
        )
        self._metric = metric

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        chosen = np.asarray(rows)
        images, target = torch.from_numpy(pictures.pixels[chosen]), torch.from_numpy(pictures.targets[chosen]).float()
        return (self._augment(images) if training else images), (target,)

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(scores, target[0])

    def validation(self) -> "LabelSetValidation":
        return LabelSetValidation(self._metric)


class LabelSetValidation:
    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._scores: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, scores: Tensor, *target: Tensor) -> None:
        self._scores.append(scores)
        self._targets.append(target[0])

    def result(self) -> tuple[float, float]:
        scores, targets = torch.cat(self._scores), torch.cat(self._targets)
        loss = functional.binary_cross_entropy_with_logits(scores, targets)
        return float(loss), value_of(self._metric, scores.numpy(), targets.to(torch.uint8).numpy())
