"""Segmentation: what is learned. Cross-entropy and Dice over the pixels whose class is known."""

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
from autotrain_trainer.data.mask_values import IGNORE
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.mask_measure import Overlaps, metric_of, overlaps_of
from autotrain_trainer.objective import Target

DICE_WEIGHT = 1.0
SMOOTH = 1.0


class MaskAugmentation(BatchAugmentation):
    """The same map for a picture and its mask, of which the nearest pixel is taken."""

    def both(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [n, H, W, 3] and [n, H, W] as cached -> uint8 [n, height, width, 3] and int64 [n, height, width]."""
        count = len(images)
        grid = functional.affine_grid(self.maps(count), [count, 3, *self.size], align_corners=False)
        pixels = self.sample(images, grid)
        known = functional.grid_sample(
            masks[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        return self.finish(pixels), known[:, 0].long()


class MaskObjective:
    """Logits [n, classes, height, width], targets int64 [n, height, width].

    Labels are smoothed, and balanced classes weighed by their share of the known pixels, in the cross-entropy only.
    `masks` are those of the training part, uint8 [n, height, width].
    """

    ties_by_loss = False

    def __init__(
        self,
        recipe: Recipe,
        preprocessing: ResolvedPreprocessing,
        classes: int,
        metric: str,
        masks: NDArray[np.uint8],
        own: Change | None = None,
    ) -> None:
        self._smoothing = recipe.training.label_smoothing
        balance = recipe.training.class_weights == "Balanced"
        self._weights = torch.from_numpy(balanced(pixel_counts(masks, classes))) if balance else None
        self._augment = MaskAugmentation(
            recipe.augmentation, preprocessing.height, preprocessing.width, recipe.training.seed, own=own
        )
        self._classes = classes
        self._metric = metric

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        chosen = np.asarray(rows)
        images, masks = torch.from_numpy(pictures.pixels[chosen]), torch.from_numpy(pictures.targets[chosen])
        if not training:
            return images, (masks.long(),)
        varied, known = self._augment.both(images, masks)
        return varied, (known,)

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        weights = None if self._weights is None else self._weights.to(scores.device)
        pixels = pixel_loss(scores, target[0], weights, self._smoothing)
        return pixels + DICE_WEIGHT * dice_loss(scores, target[0])

    def validation(self) -> "MaskValidation":
        return MaskValidation(self._classes, self._metric)


class MaskValidation:
    def __init__(self, classes: int, metric: str) -> None:
        self._classes = classes
        self._metric = metric
        self._losses: list[float] = []
        self._overlaps: list[Overlaps] = []

    def add(self, scores: Tensor, *target: Tensor) -> None:
        self._losses += [float(pixel_loss(scores, target[0]))] * len(scores)
        predicted = scores.argmax(dim=1).to(torch.uint8).numpy()
        self._overlaps.append(overlaps_of(predicted, target[0].to(torch.uint8).numpy(), self._classes))

    def result(self) -> tuple[float, float]:
        return float(np.mean(self._losses)), metric_of(self._metric, Overlaps.joined(self._overlaps))


def pixel_loss(scores: Tensor, masks: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the known pixels; 0 when there are none."""
    known = (masks != IGNORE).sum().clamp(min=1)
    losses = functional.cross_entropy(
        scores, masks, weights, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )
    return losses / known


def pixel_counts(masks: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """How many known pixels each class has; mask by mask, since all of them may be larger than memory."""
    counts = np.zeros(IGNORE + 1, np.int64)
    for mask in masks:
        counts += np.bincount(mask.ravel(), minlength=IGNORE + 1)
    return counts[:classes]


def dice_loss(scores: Tensor, masks: Tensor) -> Tensor:
    """1 - the mean soft Dice of the classes that the batch has (Milletari et al. 2016, arXiv:1606.04797)."""
    known = masks != IGNORE
    truth = functional.one_hot(masks.where(known, 0), scores.shape[1]).permute(0, 3, 1, 2) * known[:, None]
    found = scores.softmax(dim=1) * known[:, None]
    axes = (0, 2, 3)
    shared, total = (found * truth).sum(axes), found.sum(axes) + truth.sum(axes)
    dice = (2 * shared + SMOOTH) / (total + SMOOTH)
    present = truth.sum(axes) > 0
    return 1 - dice[present].mean() if present.any() else scores.sum() * 0
