"""Masks of COCO annotations: polygons or run lengths of each object, put together to one class for each pixel.

Source of the forms: https://cocodataset.org/#format-data; pycocotools draws them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as drawing
from pydantic import BaseModel

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_server.preprocess import ImageError, upright
from autotrain_trainer.data.coco_files import Annotation, Mark, Picture, coco_parts
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, natural
from autotrain_trainer.data.mask_values import BACKGROUND, BACKGROUNDS, MOST_CLASSES, Mask, MaskError
from autotrain_trainer.data.masks import MaskSample
from autotrain_trainer.data.samples import Parts, Sample

LEAST_NUMBERS = 6
"""Of a polygon: three corners."""
MAX_PIXELS = 500_000_000
FIRST_CHARACTER, MORE, NEGATIVE = ord("0"), 32, 16
"""Of compressed run lengths: the character of 0, and bits that say that the number goes on, and that it is below 0."""
Pixels = NDArray[np.bool_]


class RunLengths(BaseModel):
    size: tuple[int, int]
    """height, width"""
    counts: list[int] | str


class MaskAnnotation(Annotation):
    segmentation: RunLengths | list[list[float]]


def coco_masks(root: Path, data: Data) -> tuple[Parts, list[str]]:
    """Pictures with masks, and the classes: the background, then the spec's or those that occur. Raises RunError."""
    labels: set[str] = set()
    positions: dict[str, int] = {}
    parts = coco_parts(root, data, MaskAnnotation, partial(_sample, labels, positions))
    classes = _classes(labels, data)
    positions.update({name: position for position, name in enumerate(classes)})
    return parts, classes


def _classes(labels: set[str], data: Data) -> list[str]:
    """Raises RunError."""
    wanted = [name for name in data.classes if name not in BACKGROUNDS]
    found = sorted(sorted(labels - set(BACKGROUNDS)), key=natural)
    if not found:
        raise failure(Reason.DATA_EMPTY, "no annotation marks an object")
    if wanted and (unknown := [name for name in found if name not in wanted]):
        message = f"the data has classes that spec.data.classes does not list: {', '.join(unknown[:SHOWN])}"
        raise failure(Reason.DATA_LAYOUT_INVALID, message)
    if len(wanted or found) >= MOST_CLASSES:
        message = f"{len(wanted or found)} classes are too many: at most {MOST_CLASSES - 1} besides the background"
        raise failure(Reason.DATA_LAYOUT_INVALID, message)
    return [BACKGROUND, *(wanted or found)]


def _sample(
    labels: set[str],
    positions: dict[str, int],
    picture: Picture,
    name: str,
    read: Callable[[], bytes],
    marks: Sequence[Mark],
) -> Sample:
    """`labels` gathers what occurs; `positions` of classes are known when the first mask is drawn. Raises RunError."""
    for mark in marks:
        labels.add(mark.label)
        if problem := _problem(mark.content.segmentation):
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{mark.place}, segmentation: {problem}")

    def draw() -> Mask:
        width, height = (picture.width, picture.height) if picture.width and picture.height else _size(read())
        return drawn(marks, positions, width, height)

    return MaskSample(name, "", read, None, draw)


def _size(content: bytes) -> tuple[int, int]:
    try:
        return upright(content, MAX_PIXELS).size
    except ImageError as error:
        raise MaskError(str(error)) from error


def _problem(segmentation: RunLengths | list[list[float]]) -> str:
    """Why this marks nothing, or ""."""
    if isinstance(segmentation, RunLengths):
        return ""
    if not segmentation:
        return "there is none; Segmentation needs polygons or run lengths"
    wrong = next((part for part in segmentation if len(part) < LEAST_NUMBERS or len(part) % 2), None)
    if wrong is not None:
        return f"{len(wrong)} numbers are no polygon; it has x and y of three corners or more"
    return "" if np.isfinite(np.concatenate(segmentation)).all() else "a corner is no number"


def drawn(marks: Sequence[Mark], positions: dict[str, int], width: int, height: int) -> Mask:
    """uint8 [height, width]: positions of classes, 0 where nothing is; small objects lie over large ones.

    Raises MaskError.
    """
    found = np.zeros((height, width), np.uint8)
    objects = [(_mask(mark, width, height), positions.get(mark.label, 0)) for mark in marks]
    for mask, position in sorted(objects, key=lambda one: -int(one[0].sum())):
        found[mask] = position
    return found


def _mask(mark: Mark, width: int, height: int) -> Pixels:
    """bool [height, width]. Raises MaskError."""
    segmentation = mark.content.segmentation
    if isinstance(segmentation, RunLengths):
        return _unrolled(segmentation, mark.place, width, height)
    if problem := _out_of_picture(segmentation, width, height):
        raise MaskError(f"{mark.place}: {problem}")
    return np.asarray(drawing.decode(drawing.merge(drawing.frPyObjects(segmentation, height, width))), bool)


def _out_of_picture(polygons: Sequence[Sequence[float]], width: int, height: int) -> str:
    """Why these cannot mark an object of the picture, or "". Corners may lie a little beyond its edge."""
    size, reach = np.array([width, height]), max(width, height)
    corners = np.concatenate(polygons).reshape(-1, 2)
    far = corners[((corners < -reach) | (corners > size + reach)).any(axis=1)]
    if len(far):
        return (
            f"the corner ({far[0, 0]:g}, {far[0, 1]:g}) lies far outside of its picture of {width} x {height}; "
            "corners are x and y in pixels"
        )
    low, high = corners.min(axis=0), corners.max(axis=0)
    if ((low < 0) & (high <= 0) | (low >= size) & (high > size)).any():
        shown = ", ".join(f"{value:g}" for value in (*low, *high))
        return f"the polygon around ({shown}) lies outside of its picture of {width} x {height}"
    return ""


def _unrolled(lengths: RunLengths, place: str, width: int, height: int) -> Pixels:
    """Runs of background and object in turn, column by column. Raises MaskError."""
    if lengths.size != (height, width):
        raise MaskError(
            f"{place}: run lengths are for {lengths.size[1]} x {lengths.size[0]} pixels, "
            f"the picture has {width} x {height}"
        )
    counts = lengths.counts if isinstance(lengths.counts, list) else _decompressed(lengths.counts, place)
    if min(counts, default=0) < 0:
        raise MaskError(f"{place}: a run length is below 0")
    if (covered := sum(counts)) != width * height:
        raise MaskError(f"{place}: run lengths cover {covered} of {width * height} pixels")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def _decompressed(text: str, place: str) -> list[int]:
    """COCO's compressed run lengths: five bits in a character, from the fourth on as what is added to the last but one.

    Raises MaskError.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - FIRST_CHARACTER
        if not 0 <= bits < 64:
            raise MaskError(f"{place}: {character!r} does not occur in compressed run lengths, which have '0' to 'o'")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & MORE:
            value -= (bits & NEGATIVE) << shift - 4
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise MaskError(f"{place}: the compressed run lengths end within a number")
    return counts
