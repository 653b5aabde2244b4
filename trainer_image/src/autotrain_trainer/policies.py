"""spec.augmentation.policy as timm writes it ("rand-m9-mstd0.5"): RandAugment, AugMix, AutoAugment, 3-Augment."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import augment_and_mix_transform, auto_augment_transform, rand_augment_transform
from torch import Tensor

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_trainer.policy_text import OWN, check

TRANSLATION_SHARE = 0.45
AUGMIX_TRANSLATION = 0.3
"""Farthest translations, in sides of the picture; timm's."""
Transform = Callable[[Image.Image], Image.Image]


class Policy:
    """uint8 pictures [n, height, width, 3] -> the same, each varied by itself.

    Pillow does the work, one picture after the other: timm draws from Python's and numpy's generators, which threads
    would share in an order that no seed repeats; two threads on two processors won nothing either. A picture of 224 px
    costs about a millisecond, with AugMix ten.
    """

    def __init__(self, text: str, preprocessing: ResolvedPreprocessing) -> None:
        side = min(preprocessing.height, preprocessing.width)
        self.transform = transform_of(text, side, preprocessing.mean)

    def __call__(self, images: Tensor) -> Tensor:
        varied = [np.asarray(self.transform(Image.fromarray(image))) for image in images.numpy()]
        return torch.from_numpy(np.stack(varied))


def policy_of(text: str, preprocessing: ResolvedPreprocessing) -> Policy | None:
    """None for the policies that are not timm's. Raises ValueError."""
    return None if text in OWN else Policy(text, preprocessing)


def transform_of(text: str, side: int, mean: list[float]) -> Transform:
    """timm's transform of pictures with a shorter side of `side`; what moves uncovers the mean colour. Raises ValueError."""
    check(text)
    settings = {
        "translate_const": int(side * TRANSLATION_SHARE),
        "img_mean": tuple(min(255, max(0, round(255 * value))) for value in mean),
    }
    if text.startswith("rand"):
        made: Transform = rand_augment_transform(text, settings)
    elif text.startswith("augmix"):
        made = augment_and_mix_transform(text, settings | {"translate_pct": AUGMIX_TRANSLATION})
    else:
        made = auto_augment_transform(text, settings)
    return made
