"""Pictures with boxes: what every layout of ObjectDetection gives, and what is done about boxes that cannot be right."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_server.geometry import boxes_to_model
from autotrain_server.preprocess import Picture
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import natural
from autotrain_trainer.data.samples import Sample

CROWD = -1
"""The label of a region in which objects are not told apart: neither learned nor counted as background."""
WRONG_SHARE = 0.01
NAMED = 5
SMALL = 8
"""Pixels of the network's input: the distance of its closest locations."""
SMALL_SHARE = 0.1
INSIDE = 0.5
"""A box with less than this share of it in its picture belongs to another one."""


class MarkedBox(NamedTuple):
    """One box of an annotation, in pixels of the upright picture."""

    corners: tuple[float, float, float, float]
    """x0, y0, x1, y1, the ends excluded"""
    label: str
    place: str
    """Where it stands: file, and line or position."""
    crowd: bool = False


@dataclass(frozen=True)
class BoxSample(Sample):
    """A picture and its boxes; without any it shows what is not to be found. `label` is its most frequent class or ""."""

    boxes: tuple[MarkedBox, ...] = ()


def box_sample(name: str, read: Callable[[], bytes], boxes: Sequence[MarkedBox], group: str | None = None) -> BoxSample:
    labels = [box.label for box in boxes if not box.crowd]
    return BoxSample(name, max(sorted(set(labels)), key=labels.count, default=""), read, group, tuple(boxes))


def box_classes(samples: Iterable[Sample], data: Data) -> list[str]:
    """The classes in the order of the model's outputs: the spec's, else sorted naturally; one is enough. Raises RunError."""
    boxes = [box for sample in samples if isinstance(sample, BoxSample) for box in sample.boxes if not box.crowd]
    found = sorted(sorted({box.label for box in boxes}), key=natural)
    if not found:
        raise failure(Reason.DATA_EMPTY, "no picture has a box")
    if data.classes and (unknown := [name for name in found if name not in data.classes]):
        listed = ", ".join(unknown[:NAMED])
        message = f"the data has classes that spec.data.classes does not list: {listed}"
        raise failure(Reason.DATA_LAYOUT_INVALID, message)
    return list(data.classes) or found


class Checked(NamedTuple):
    """The boxes of one picture."""

    boxes: list[MarkedBox]
    clipped: int
    """How many of them were cut off at the edge of the picture."""
    wrong: list[str]
    """Those that cannot be right and were left out: place and cause."""


def checked(boxes: Sequence[MarkedBox], width: int, height: int) -> Checked:
    """The boxes that can be right in a picture of that size."""
    kept, wrong, clipped = [], [], 0
    for box in boxes:
        inside = clip(box.corners, width, height)
        if problem := problem_of(box.corners, inside, width, height):
            wrong.append(f"{box.place}: {problem}")
            continue
        clipped += inside != box.corners
        kept.append(box._replace(corners=inside))
    return Checked(kept, clipped, wrong)


def check_boxes(pictures: Sequence[Checked]) -> tuple[int, list[str]]:
    """How many boxes were cut off, and those that were left out. Raises RunError for more than WRONG_SHARE of these."""
    wrong = [line for one in pictures for line in one.wrong]
    total = len(wrong) + sum(len(one.boxes) for one in pictures)
    if len(wrong) > WRONG_SHARE * total:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{len(wrong)} of {total} boxes cannot be right, more than {WRONG_SHARE:.0%}: {'; '.join(wrong[:NAMED])}",
        )
    return sum(one.clipped for one in pictures), wrong


def clip(corners: tuple[float, float, float, float], width: int, height: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = corners
    return max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)


def problem_of(
    corners: tuple[float, float, float, float], inside: tuple[float, float, float, float], width: int, height: int
) -> str:
    """Why this box cannot be right, or ""."""
    shown = ", ".join(f"{value:g}" for value in corners)
    if not all(map(math.isfinite, corners)):
        return f"the box ({shown}) is not made of finite numbers"
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        return f"the box ({shown}) has no area"
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return f"the box ({shown}) lies outside of its picture of {width} x {height}"
    if area(inside) < INSIDE * area(corners):
        return f"the box ({shown}) lies mostly outside of its picture of {width} x {height}"
    return ""


def area(corners: tuple[float, float, float, float]) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


class Truth(NamedTuple):
    """The true boxes of one picture."""

    placed: NDArray[np.float32]
    """[m, 4] in the pixels in which the picture is kept"""
    labels: NDArray[np.int64]
    """[m], positions of classes, or CROWD"""
    corners: NDArray[np.float64]
    """[m, 4] in pixels of the upright picture itself"""
    width: int
    height: int
    """Of the upright picture"""


def small_boxes(truths: Sequence[Truth], kept: int, preprocessing: ResolvedPreprocessing) -> str:
    """A warning when many boxes are too small for the network; `truths` lie in pictures `kept` pixels high."""
    sides = [(truth.placed[:, 2:] - truth.placed[:, :2]).min(axis=1) for truth in truths if len(truth.placed)]
    every = np.concatenate(sides or [np.zeros(0)]) * preprocessing.height / kept
    share = float(np.mean(every < SMALL)) if every.size else 0.0
    if share < SMALL_SHARE:
        return ""
    size = f"{preprocessing.width} x {preprocessing.height}"
    return f"{share:.0%} of the boxes are narrower than {SMALL} pixels in an input of {size}: a larger model.imageSize finds more"


class BoxTargets:
    """Targets while pictures are read: a Truth for each. `read` gathers what was found on the way, for all sides."""

    def __init__(self, classes: Sequence[str], read: list[Checked], count: int) -> None:
        self._position = {name: index for index, name in enumerate(classes)}
        self._read = read
        self._truths: list[Truth | None] = [None] * count

    def put(self, row: int, sample: Sample, picture: Picture, preprocessing: ResolvedPreprocessing) -> None:
        """See data.pictures.Targets."""
        found = checked(sample.boxes if isinstance(sample, BoxSample) else (), picture.width, picture.height)
        corners = np.array([box.corners for box in found.boxes], np.float64).reshape(-1, 4)
        labels = [CROWD if box.crowd else self._position[box.label] for box in found.boxes]
        placed = boxes_to_model(corners, picture.width, picture.height, preprocessing).astype(np.float32)
        self._truths[row] = Truth(placed, np.array(labels, np.int64), corners, picture.width, picture.height)
        self._read.append(found)

    def collect(self, rows: Sequence[int]) -> list[Truth]:
        return [truth for row in rows if (truth := self._truths[row]) is not None]


def refuse_missing(file: str, missing: Sequence[str]) -> None:
    """Raises RunError when there are any."""
    if missing:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{file} names {len(missing)} pictures that are not in the data: {'; '.join(missing[:NAMED])}",
        )
