"""One label per picture: what is learned."""

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
from autotrain_trainer.balance import balanced
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.measure import value_of
from autotrain_trainer.mixing import Mixing
from autotrain_trainer.objective import Gathered, Target
from autotrain_trainer.policies import policy_of


class LabelObjective:
    """Cross-entropy of logits [n, classes]; targets int64 [n], or float32 [n, classes] where pictures are mixed.

    Labels are smoothed as in timm, towards equal shares of all classes. With balanced classes `counts` says how often
    each occurs in the training part. Validation knows neither.
    """

    ties_by_loss = False

    def __init__(
        self,
        recipe: Recipe,
        preprocessing: ResolvedPreprocessing,
        metric: str,
        counts: NDArray[np.int64],
        own: Change | None = None,
    ) -> None:
        settings, seed = recipe.augmentation, recipe.training.seed
        policy = policy_of(settings.policy, preprocessing)
        self._augment = BatchAugmentation(settings, preprocessing.height, preprocessing.width, seed, policy, own)
        self._mix = Mixing(settings, seed)
        self._classes = len(counts)
        self._smoothing = recipe.training.label_smoothing
        self._weights = torch.from_numpy(balanced(counts)) if recipe.training.class_weights == "Balanced" else None
        self._metric = metric

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        chosen = np.asarray(rows)
        images, target = torch.from_numpy(pictures.pixels[chosen]), torch.from_numpy(pictures.targets[chosen])
        if not training:
            return images, (target,)
        varied = self._augment(images)
        if not self._mix.active:
            return varied, (target,)
        mixed, shares = self._mix(varied, functional.one_hot(target, self._classes).float())
        return mixed, (shares,)

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        weights = None if self._weights is None else self._weights.to(scores.device)
        return functional.cross_entropy(scores, target[0], weights, label_smoothing=self._smoothing)

    def validation(self) -> Gathered:
        return Gathered(self._judge)

    def _judge(self, scores: Tensor, targets: Tensor) -> tuple[float, float]:
        value = value_of(self._metric, scores.argmax(dim=1).numpy(), targets.numpy(), scores.shape[1])
        return float(functional.cross_entropy(scores, targets)), value
