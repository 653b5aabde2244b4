"""Pictures with boxes: what every layout of ObjectDetection gives, and what is done about boxes that cannot be right."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from autotrain_server.geometry import boxes_to_model
from numpy.typing import NDArray

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.samples import Sample

CROWD = -1
"""The label of a region in which objects are not told apart: neither learned nor counted as background."""
WRONG_SHARE = 0.01
NAMED = 5
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


class Boxes(NamedTuple):
    """The boxes of one picture in pixels of the network's input."""

    corners: NDArray[np.float32]
    """[m, 4]: x0, y0, x1, y1"""
    labels: NDArray[np.int64]
    """[m], positions of classes, or CROWD"""


def box_sample(name: str, read: Callable[[], bytes], boxes: Sequence[MarkedBox], group: str | None = None) -> BoxSample:
    labels = [box.label for box in boxes if not box.crowd]
    return BoxSample(name, max(sorted(set(labels)), key=labels.count, default=""), read, group, tuple(boxes))


def labels_of(samples: Iterable[BoxSample]) -> set[str]:
    """The classes that occur."""
    return {box.label for sample in samples for box in sample.boxes if not box.crowd}


class Checked(NamedTuple):
    samples: list[BoxSample]
    clipped: int
    """Boxes that were cut off at the edge of their picture."""
    wrong: list[str]
    """Boxes that were left out: place and cause."""


def check_boxes(samples: Sequence[BoxSample], sizes: NDArray[np.int64]) -> Checked:
    """Boxes cut off at the edges of their pictures; `sizes` [n, 2] are width and height. Raises RunError.

    A box without area or outside of its picture is left out, as long as these are at most WRONG_SHARE.
    """
    kept, wrong, clipped, total = [], list[str](), 0, 0
    for sample, (width, height) in zip(samples, sizes.tolist(), strict=True):
        boxes = []
        for box in sample.boxes:
            total += 1
            inside = clip(box.corners, width, height)
            if problem := problem_of(box.corners, inside, width, height):
                wrong.append(f"{box.place}: {problem}")
                continue
            clipped += inside != box.corners
            boxes.append(box._replace(corners=inside))
        kept.append(replace(sample, boxes=tuple(boxes)))
    if len(wrong) > WRONG_SHARE * total:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{len(wrong)} of {total} boxes cannot be right, more than {WRONG_SHARE:.0%}: {'; '.join(wrong[:NAMED])}",
        )
    return Checked(kept, clipped, wrong)


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


def boxes_at(
    samples: Sequence[BoxSample],
    sizes: NDArray[np.int64],
    classes: Sequence[str],
    preprocessing: ResolvedPreprocessing,
) -> list[Boxes]:
    """The boxes of each picture where `preprocessing` puts them; a crowd region has the label CROWD."""
    position = {name: index for index, name in enumerate(classes)}
    found = []
    for sample, (width, height) in zip(samples, sizes.tolist(), strict=True):
        corners = np.array([box.corners for box in sample.boxes], np.float64).reshape(-1, 4)
        labels = [CROWD if box.crowd else position[box.label] for box in sample.boxes]
        placed = boxes_to_model(corners, width, height, preprocessing).astype(np.float32)
        found.append(Boxes(placed, np.array(labels, np.int64)))
    return found


def refuse_missing(file: str, missing: Sequence[str]) -> None:
    """Raises RunError when there are any."""
    if missing:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{file} names {len(missing)} pictures that are not in the data: {'; '.join(missing[:NAMED])}",
        )
