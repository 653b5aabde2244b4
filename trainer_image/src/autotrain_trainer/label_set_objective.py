"""A set of labels per picture: what is learned."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.revision import Recipe
from autotrain_server.functions import Change
from autotrain_trainer.augment import BatchAugmentation
from autotrain_trainer.balance import balanced_pairs
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.label_set_measure import value_of
from autotrain_trainer.mixing import Mixing
from autotrain_trainer.objective import Gathered, Target
from autotrain_trainer.policies import policy_of


class LabelSetObjective:
    """Binary cross-entropy of logits [n, classes], each class by itself; targets float32 [n, classes].

    Labels are smoothed as in timm, towards one half. With balanced classes a label weighs as much as its absence does
    in the whole training part, whose labels are `truth`. Validation knows neither.
    """

    ties_by_loss = True

    def __init__(
        self,
        recipe: Recipe,
        preprocessing: ResolvedPreprocessing,
        metric: str,
        truth: NDArray[np.uint8],
        own: Change | None = None,
    ) -> None:
        settings, seed = recipe.augmentation, recipe.training.seed
        policy = policy_of(settings.policy, preprocessing)
        self._augment = BatchAugmentation(settings, preprocessing.height, preprocessing.width, seed, policy, own)
        self._mix = Mixing(settings, seed)
        self._smoothing = recipe.training.label_smoothing
        self._weights = torch.from_numpy(balanced_pairs(truth)) if recipe.training.class_weights == "Balanced" else None
        self._metric = metric

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        chosen = np.asarray(rows)
        images, target = torch.from_numpy(pictures.pixels[chosen]), torch.from_numpy(pictures.targets[chosen]).float()
        if not training:
            return images, (target,)
        varied = self._augment(images)
        if not self._mix.active:
            return varied, (target,)
        mixed, shares = self._mix(varied, target)
        return mixed, (shares,)

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        truth, weights = target[0], None
        if self._weights is not None:
            absent, present = self._weights.to(scores.device)
            weights = truth * present + (1 - truth) * absent
        if self._smoothing:
            truth = truth * (1 - self._smoothing) + self._smoothing / 2
        return functional.binary_cross_entropy_with_logits(scores, truth, weights)

    def validation(self) -> Gathered:
        return Gathered(self._judge)

    def _judge(self, scores: Tensor, targets: Tensor) -> tuple[float, float]:
        loss = functional.binary_cross_entropy_with_logits(scores, targets)
        return float(loss), value_of(self._metric, scores.numpy(), targets.to(torch.uint8).numpy())
