"""Where a point of the upload lies in the network's input, and back. Boxes and masks know no other geometry.

Points are float [..., 2], x then y in pixels; the middle of the first pixel is (0.5, 0.5). Boxes are [..., 4]: left, top,
right, bottom. `width` and `height` are those of the upright upload.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import ResolvedPreprocessing

Floats = NDArray[np.floating[Any]]


class Region(NamedTuple):
    """The part of a picture that is seen, and the size at which it is drawn, in pixels."""

    box: tuple[float, float, float, float]
    """left, top, right, bottom in the picture"""
    width: int
    height: int


class Placement(NamedTuple):
    """input = picture * scale + offset, for x and y."""

    scale: tuple[float, float]
    offset: tuple[float, float]


def region_of(width: int, height: int, preprocessing: ResolvedPreprocessing) -> Region:
    """Where the network looks in a picture of `width` x `height` pixels."""
    wanted_width, wanted_height = preprocessing.width, preprocessing.height
    if preprocessing.resize == "Squish":
        return Region((0, 0, width, height), wanted_width, wanted_height)
    if preprocessing.resize == "Letterbox":
        scale = min(wanted_width / width, wanted_height / height)
        drawn = max(1, round(width * scale)), max(1, round(height * scale))
        return Region((0, 0, width, height), *drawn)
    scale = min(width / wanted_width, height / wanted_height) * preprocessing.crop_fraction
    seen_width, seen_height = min(width, wanted_width * scale), min(height, wanted_height * scale)
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return Region((left, top, left + seen_width, top + seen_height), wanted_width, wanted_height)


def corner_of(region: Region, preprocessing: ResolvedPreprocessing) -> tuple[int, int]:
    """left, top of what is drawn, in the network's input: what is smaller lies in the middle."""
    return (preprocessing.width - region.width) // 2, (preprocessing.height - region.height) // 2


def placement_of(width: int, height: int, preprocessing: ResolvedPreprocessing) -> Placement:
    region = region_of(width, height, preprocessing)
    left, top, right, bottom = region.box
    across, down = region.width / (right - left), region.height / (bottom - top)
    corner = corner_of(region, preprocessing)
    return Placement((across, down), (corner[0] - left * across, corner[1] - top * down))


def to_model(points: Floats, width: int, height: int, preprocessing: ResolvedPreprocessing) -> Floats:
    """Points of the upload [..., 2] -> the network's input."""
    place = placement_of(width, height, preprocessing)
    return np.asarray(points * np.array(place.scale) + np.array(place.offset))


def to_image(points: Floats, width: int, height: int, preprocessing: ResolvedPreprocessing) -> Floats:
    """Points of the network's input [..., 2] -> the upload; what lies in the padding lands outside of it."""
    place = placement_of(width, height, preprocessing)
    return np.asarray((points - np.array(place.offset)) / np.array(place.scale))


def boxes_to_model(boxes: Floats, width: int, height: int, preprocessing: ResolvedPreprocessing) -> Floats:
    """Boxes of the upload [..., 4] -> the network's input."""
    corners = boxes.reshape(*boxes.shape[:-1], 2, 2)
    return to_model(corners, width, height, preprocessing).reshape(boxes.shape)


def boxes_to_image(boxes: Floats, width: int, height: int, preprocessing: ResolvedPreprocessing) -> Floats:
    """Boxes of the network's input [..., 4] -> the upload, cut off at its edges."""
    corners = to_image(boxes.reshape(*boxes.shape[:-1], 2, 2), width, height, preprocessing)
    return np.clip(corners, 0, np.array([width, height])).reshape(boxes.shape)
