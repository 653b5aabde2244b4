"""Rows of raw detection scores become boxes: decoding and non-maximum suppression, in numpy.

A row belongs to a location: [left, top, right, bottom] distances to the sides of a box in strides of its level, the
logit of centre-ness, and a logit for each class. Locations are the centres of the cells of each level, level by level,
row by row. Source: Tian et al., "FCOS" (arXiv:2006.09214); the score is the square root of its newer version.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32, 64, 128)
"""Of the levels, in pixels of the network's input."""
BOX = 4
"""Columns of a row before its centre-ness; the classes begin after that."""
CANDIDATES = 3_000
"""At most so many (location, class) pairs of the highest scores go into suppression."""
MOST_BOXES = 300
"""In one answer."""

Floats = NDArray[np.float32]


class Boxes(NamedTuple):
    """Found boxes, the most certain first."""

    corners: Floats
    """[n, 4]: x0, y0, x1, y1"""
    scores: Floats
    """[n], 0 to 1"""
    labels: NDArray[np.int64]
    """[n], positions of classes"""


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Rows and columns of each level for an input of that size."""
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


def locations(height: int, width: int) -> tuple[Floats, Floats]:
    """Points (x, y) [n, 2] in pixels of the input, and the stride of each, [n]."""
    points, strides = [], []
    for (rows, columns), stride in zip(level_sizes(height, width), STRIDES, strict=True):
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        points.append((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full(rows * columns, stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides).astype(np.float32)


def certainties(rows: Floats) -> Floats:
    """Scores [..., locations, classes], 0 to 1: the geometric mean of class and centre-ness."""
    logits = rows[..., BOX:].astype(np.float32)
    with np.errstate(over="ignore"):
        likely = 1 / (1 + np.exp(-logits))
    return np.asarray(np.sqrt(likely[..., 1:] * likely[..., :1]), np.float32)


def decode(rows: Floats, height: int, width: int, least: float, overlap: float, most: int = MOST_BOXES) -> Boxes:
    """Rows [locations, 4 + 1 + classes] of one picture -> boxes in pixels of the network's input.

    `least` is the lowest score, `overlap` the highest IoU of two boxes of one class, `most` how many boxes there may be.
    """
    scores = certainties(rows)
    chosen = np.flatnonzero(scores > least)
    if len(chosen) > CANDIDATES:
        chosen = chosen[np.argpartition(-scores.ravel()[chosen], CANDIDATES)[:CANDIDATES]]
    chosen = chosen[np.argsort(-scores.ravel()[chosen], kind="stable")]
    at, labels = np.divmod(chosen, scores.shape[1])
    points, strides = locations(height, width)
    distances = rows[at, :BOX] * strides[at, None]
    corners = np.concatenate([points[at] - distances[:, :2], points[at] + distances[:, 2:]], axis=1)
    kept = suppress(corners, labels, overlap, most)
    return Boxes(corners[kept], scores.ravel()[chosen[kept]], labels[kept])


def suppress(corners: Floats, labels: NDArray[np.int64], overlap: float, most: int = MOST_BOXES) -> NDArray[np.int64]:
    """Positions that stay, of boxes sorted by score: each that overlaps no better one of its class by more than `overlap`."""
    free = np.ones(len(corners), np.bool_)
    kept: list[int] = []
    for position in range(len(corners)):
        if not free[position]:
            continue
        kept.append(position)
        if len(kept) == most:
            break
        rest = slice(position + 1, None)
        free[rest] &= (labels[rest] != labels[position]) | (ious(corners[position], corners[rest]) <= overlap)
    return np.array(kept, np.int64)


def ious(one: Floats, others: Floats) -> Floats:
    """Intersection over union of a box [4] with boxes [n, 4]; 0 where both have no area."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    both = sides.clip(min=0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (one[2:] - one[:2]).prod() - both
    return np.asarray(np.divide(both, areas, out=np.zeros_like(both), where=areas > 0))


def paired_ious(one: Boxes, other: Boxes) -> float:
    """Sum of the IoUs of boxes of one class in both, each box paired once, the most certain first."""
    free, total = np.ones(len(other.scores), np.bool_), 0.0
    for corners, label in zip(one.corners, one.labels, strict=True):
        overlaps = np.where(free & (other.labels == label), ious(corners, other.corners), 0)
        if len(overlaps) and overlaps.max() > 0:
            best = int(overlaps.argmax())
            free[best] = False
            total += float(overlaps[best])
    return total
