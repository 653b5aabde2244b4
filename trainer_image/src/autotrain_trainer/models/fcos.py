"""Which location learns which box, and what a detector's rows cost: focal loss, GIoU and centre-ness as in FCOS.

Source: Tian et al., "FCOS: A Simple and Strong Anchor-free Object Detector" (arXiv:2006.09214).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from autotrain_server.tasks.boxes import BOX, locations

CENTRE_RADIUS = 1.5
"""Locations so many strides around a box's centre learn it."""
REACH = 8
"""A level learns boxes whose farthest side is at most so many strides away, and more than half as many; the first
level takes all smaller ones, the last all larger ones."""


class BoxTargets(NamedTuple):
    """The boxes of one picture in pixels of the network's input."""

    corners: Tensor
    """float32 [m, 4]: x0, y0, x1, y1"""
    labels: Tensor
    """int64 [m]"""


class Grid(NamedTuple):
    """Where a detector's rows lie."""

    points: Tensor
    """[locations, 2]"""
    strides: Tensor
    """[locations]"""

    @classmethod
    def of(cls, height: int, width: int, device: torch.device) -> "Grid":
        points, strides = locations(height, width)
        return cls(torch.from_numpy(points).to(device), torch.from_numpy(strides).to(device))


def assign(corners: Tensor, grid: Grid) -> Tensor:
    """For each location the position of its box in `corners` [m, 4], or -1: int64 [locations]."""
    if not len(corners):
        return torch.full((len(grid.points),), -1, dtype=torch.long, device=corners.device)
    distances = sides(grid.points[:, None], corners[None])
    farthest = distances.amax(dim=2)
    strides = grid.strides[:, None]
    lowest = torch.where(strides == grid.strides.min(), 0.0, strides * REACH / 2)
    highest = torch.where(strides == grid.strides.max(), torch.inf, strides * REACH)
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    near = (grid.points[:, None] - centres[None]).abs().amax(dim=2) < CENTRE_RADIUS * strides
    fits = near & (distances.amin(dim=2) > 0) & (farthest > lowest) & (farthest <= highest)
    areas = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
    smallest, position = torch.where(fits, areas[None], torch.inf).min(dim=1)
    return torch.where(smallest < torch.inf, position, -1)


def sides(points: Tensor, corners: Tensor) -> Tensor:
    """Distances [..., 4] from points to the left, top, right and bottom side of boxes; negative outside."""
    return torch.cat([points - corners[..., :2], corners[..., 2:] - points], dim=-1)


def detection_loss(scores: Tensor, targets: Sequence[BoxTargets], grid: Grid) -> Tensor:
    """The sum of the three losses per location that has a box; `scores` float32 [n, locations, 4 + 1 + classes]."""
    found = [assign(target.corners, grid) for target in targets]
    assigned = torch.stack(found) >= 0
    picture, place = torch.nonzero(assigned, as_tuple=True)
    corners = torch.cat([target.corners[of[of >= 0]] for target, of in zip(targets, found, strict=True)])
    labels = torch.cat([target.labels[of[of >= 0]] for target, of in zip(targets, found, strict=True)])
    wanted = torch.zeros_like(scores[..., BOX + 1 :])
    wanted[picture, place, labels] = 1
    loss: Tensor = sigmoid_focal_loss(scores[..., BOX + 1 :], wanted, reduction="sum")
    rows, points, strides = scores[picture, place], grid.points[place], grid.strides[place, None]
    loss = loss + generalized_box_iou_loss(boxes_of(rows[:, :BOX] * strides, points), corners, reduction="sum")
    loss = loss + functional.binary_cross_entropy_with_logits(
        rows[:, BOX], centreness(sides(points, corners)), reduction="sum"
    )
    return loss / max(1, len(picture))


def boxes_of(distances: Tensor, points: Tensor) -> Tensor:
    """Corners [k, 4] from distances [k, 4] to the sides, in pixels."""
    return torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)


def centreness(distances: Tensor) -> Tensor:
    """[k] from distances [k, 4]: 1 in the middle of the box, 0 on its sides."""
    ratios = [
        distances[:, [low, high]].amin(dim=1) / distances[:, [low, high]].amax(dim=1) for low, high in ((0, 2), (1, 3))
    ]
    return (ratios[0] * ratios[1]).clamp(min=0).sqrt()
