"""Which location learns which box, and what a detector's rows cost: focal loss, GIoU and centre-ness as in FCOS.

Source: Tian et al., "FCOS: A Simple and Strong Anchor-free Object Detector" (arXiv:2006.09214).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from autotrain_server.tasks.boxes import BOX, STRIDES, locations
from autotrain_trainer.data.boxes import CROWD

CENTRE_RADIUS = 1.5
"""Locations so many strides around a box's centre learn it."""
REACH = 8
"""A level learns boxes whose farthest side is at most so many strides away, and more than half as many; the first
level takes all smaller ones, the last all larger ones."""
NOBODY = -1


class Grid(NamedTuple):
    """Where a detector's rows lie."""

    points: Tensor
    """[locations, 2]"""
    strides: Tensor
    """[locations]"""

    @classmethod
    def of(cls, height: int, width: int) -> Self:
        points, strides = locations(height, width)
        return cls(torch.from_numpy(points), torch.from_numpy(strides))

    def to(self, device: torch.device) -> "Grid":
        return Grid(self.points.to(device), self.strides.to(device))


class Assignment(NamedTuple):
    """What the locations of one picture learn."""

    box: Tensor
    """int64 [locations], position of the box, or NOBODY"""
    ignored: Tensor
    """bool [locations], in a crowd, where nothing is known"""


def assign(corners: Tensor, labels: Tensor, grid: Grid) -> Assignment:
    """`corners` [m, 4] and `labels` [m] of one picture; labels below 0 are no boxes, CROWD is not background either."""
    points, strides = grid.points[:, None], grid.strides[:, None]
    distances = sides(points, corners[None])
    inside = distances.amin(dim=2, keepdim=False) > 0 if len(corners) else distances.new_zeros(len(points), 0).bool()
    crowd = (inside & (labels == CROWD)).any(dim=1)
    real = torch.nonzero(labels >= 0)[:, 0]
    if not len(real):
        return Assignment(torch.full_like(crowd, NOBODY, dtype=torch.long), crowd)
    corners = corners[real]
    farthest = distances[:, real].amax(dim=2)
    lowest = torch.where(strides == STRIDES[0], 0.0, strides * REACH / 2)
    highest = torch.where(strides == STRIDES[-1], torch.inf, strides * REACH)
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    near = (points - centres[None]).abs().amax(dim=2) < CENTRE_RADIUS * strides
    fits = near & inside[:, real] & (farthest > lowest) & (farthest <= highest)
    areas = (corners[:, 2:] - corners[:, :2]).prod(dim=1)
    smallest, position = torch.where(fits, areas[None], torch.inf).min(dim=1)
    box = torch.where(smallest < torch.inf, real[position], NOBODY)
    return Assignment(box, crowd & (box == NOBODY))


def sides(points: Tensor, corners: Tensor) -> Tensor:
    """Distances [..., 4] from points to the left, top, right and bottom side of boxes; negative outside."""
    return torch.cat([points - corners[..., :2], corners[..., 2:] - points], dim=-1)


def detection_loss(scores: Tensor, corners: Tensor, labels: Tensor, grid: Grid) -> Tensor:
    """The sum of the three losses per location that has a box.

    `scores` float32 [n, locations, 4 + 1 + classes]; `corners` [n, m, 4] and `labels` [n, m], filled up with labels
    below CROWD.
    """
    found = [assign(*one, grid) for one in zip(corners, labels, strict=True)]
    box = torch.stack([one.box for one in found])
    known = ~torch.stack([one.ignored for one in found])
    picture, place = torch.nonzero(box >= 0, as_tuple=True)
    mine = box[picture, place]
    wanted = torch.zeros_like(scores[..., BOX + 1 :])
    wanted[picture, place, labels[picture, mine]] = 1
    focal = sigmoid_focal_loss(scores[..., BOX + 1 :][known], wanted[known], reduction="sum")
    rows, points, true = scores[picture, place], grid.points[place], corners[picture, mine]
    said = boxes_of(rows[:, :BOX] * grid.strides[place, None], points)
    overlap = generalized_box_iou_loss(said, true, reduction="sum")
    centre = functional.binary_cross_entropy_with_logits(rows[:, BOX], centreness(sides(points, true)), reduction="sum")
    loss: Tensor = (focal + overlap + centre) / max(1, len(picture))
    return loss


def boxes_of(distances: Tensor, points: Tensor) -> Tensor:
    """Corners [k, 4] from distances [k, 4] to the sides, in pixels."""
    return torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)


def centreness(distances: Tensor) -> Tensor:
    """[k] from distances [k, 4]: 1 in the middle of the box, 0 on its sides."""
    across, down = distances[:, [0, 2]], distances[:, [1, 3]]
    return (across.amin(1) / across.amax(1) * down.amin(1) / down.amax(1)).clamp(min=0).sqrt()
