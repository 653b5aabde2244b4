"""Pictures with masks, from every layout of Segmentation, and their targets at the network's size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Data
from autotrain_server.geometry import corner_of, region_of
from autotrain_server.preprocess import Picture
from autotrain_trainer.data.mask_pairs import Pair, find_pairs
from autotrain_trainer.data.mask_values import IGNORE, ClassMap, Mask, MaskError, class_map, read_mask, read_names
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.failures import printable


@dataclass(frozen=True)
class MaskSample(Sample):
    """A picture and its mask; `label` is empty, the mask holds them."""

    read_mask: Callable[[], Mask] = lambda: np.zeros((0, 0), np.uint8)
    """uint8 [height, width] in the size of the upright picture. Raises MaskError, OSError."""


def mask_pairs(root: Path, data: Data) -> tuple[Parts, list[str]]:
    """train/images/1.jpg with train/masks/1.png and the like -> samples, and the classes. Raises RunError."""
    pairs = find_pairs(root, data)
    masks = [pair.mask for part in pairs for pair in part]
    mapping = class_map(masks, read_names(root), data.classes, root)
    train, validation, test = ([_sample(pair, mapping, root) for pair in part] for part in pairs)
    return Parts(train, validation, test), mapping.classes


def _sample(pair: Pair, mapping: ClassMap, root: Path) -> Sample:
    name = printable(pair.picture.relative_to(root).as_posix())
    return MaskSample(name, "", pair.picture.read_bytes, None, lambda: read_mask(pair.mask, mapping, root))


class Masks:
    """Targets while pictures are read: uint8 [n, height, width] as the network sees them, IGNORE in the padding."""

    def __init__(self, count: int) -> None:
        self._masks: list[Mask | None] = [None] * count

    def put(self, row: int, sample: Sample, picture: Picture, preprocessing: ResolvedPreprocessing) -> None:
        """Raises MaskError when mask and picture do not fit."""
        mask = cast(MaskSample, sample).read_mask()
        if mask.shape != (picture.height, picture.width):
            raise MaskError(
                f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, the picture {picture.width} x {picture.height}"
            )
        self._masks[row] = to_input(mask, preprocessing)

    def collect(self, rows: Sequence[int]) -> Mask:
        return (
            np.stack([mask for row in rows if (mask := self._masks[row]) is not None])
            if rows
            else np.zeros(0, np.uint8)
        )


def to_input(mask: Mask, preprocessing: ResolvedPreprocessing) -> Mask:
    """A mask in the size of its picture -> the network's input, the nearest pixel of each, IGNORE in the padding."""
    height, width = mask.shape
    region = region_of(width, height, preprocessing)
    left, top = corner_of(region, preprocessing)
    drawn = Image.fromarray(mask).resize((region.width, region.height), Image.Resampling.NEAREST, box=region.box)
    found = np.full((preprocessing.height, preprocessing.width), IGNORE, np.uint8)
    found[top : top + region.height, left : left + region.width] = np.asarray(drawn)
    return found
