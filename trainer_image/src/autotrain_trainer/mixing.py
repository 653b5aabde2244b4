"""Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899) of whole batches, by timm's rules."""

import numpy as np
import torch
from torch import Tensor

from autotrain_api.trainingjob import Augmentation


class Mixing:
    """Each picture with its mirror in the order of the batch; one share and one kind for all. Random state is its own.

    With both alphas a coin decides which of the two a batch gets.
    """

    def __init__(self, settings: Augmentation, seed: int) -> None:
        self.settings = settings
        self.random = np.random.default_rng(seed)

    @property
    def active(self) -> bool:
        return self.settings.mixup > 0 or self.settings.cutmix > 0

    def __call__(self, images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 images [n, height, width, 3], float targets [n, classes] -> the same, mixed."""
        cut = self.settings.cutmix > 0 and (self.settings.mixup == 0 or self.random.random() < 0.5)
        alpha = self.settings.cutmix if cut else self.settings.mixup
        share = float(self.random.beta(alpha, alpha))
        if cut:
            mixed, share = self._cut(images, share)
        else:
            mixed = (images.float() * share + images.flip(0).float() * (1 - share)).round_().to(torch.uint8)
        return mixed, target * share + target.flip(0) * (1 - share)

    def _cut(self, images: Tensor, share: float) -> tuple[Tensor, float]:
        """A box of the other picture in each; with the share that is left, since the edge may cut the box."""
        top, bottom = self._span(images.shape[1], share)
        left, right = self._span(images.shape[2], share)
        mixed = images.clone()
        mixed[:, top:bottom, left:right] = images.flip(0)[:, top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (images.shape[1] * images.shape[2])

    def _span(self, size: int, share: float) -> tuple[int, int]:
        side, centre = int(size * np.sqrt(1 - share)), int(self.random.integers(size))
        return max(0, centre - side // 2), min(size, centre + (side + 1) // 2)
