"""ObjectDetection: what is learned, and the augmentation that moves boxes along with their pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.revision import Recipe
from autotrain_server.functions import Change
from autotrain_server.preprocess import PADDING
from autotrain_server.tasks.boxes import BOX, Boxes
from autotrain_trainer.augment import ASPECT, BatchAugmentation
from autotrain_trainer.box_metrics import Known, counted, match, metric_of
from autotrain_trainer.data.boxes import CROWD, Truth
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.models.fcos import Grid, detection_loss
from autotrain_trainer.objective import Target

SCALE = (0.75, 1.2)
"""Side of what is seen, in sides of the cached picture; beyond 1 there is padding around it."""
VISIBLE = 0.3
"""A box of which a crop leaves less is not learned, and not counted as background either."""
FILLING = CROWD - 1
"""The label of the rows that make all pictures of a batch equally long."""


class BoxAugmentation(BatchAugmentation):
    """Scale, crop and flips, without rotation: boxes stay boxes."""

    def both(self, images: Tensor, corners: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures as cached with boxes [n, m, 4] in their pixels -> both as the network takes them."""
        maps = self.maps(len(images))
        grid = functional.affine_grid(maps, [len(images), 3, *self.size], align_corners=False)
        pixels = images.permute(0, 3, 1, 2).float() - PADDING
        pixels = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        moved, seen = moved_boxes(corners, maps, images.shape[1:3], self.size)
        kept = torch.where((labels >= 0) & (seen < VISIBLE), torch.where(seen > 0, CROWD, FILLING), labels)
        return self.finish(pixels + PADDING), moved, kept

    def maps(self, count: int) -> Tensor:
        """See BatchAugmentation."""
        maps = torch.zeros(count, 2, 3)
        varied = self.settings.policy == "Default"
        scale = self._uniform(count, *SCALE) if varied else torch.ones(count)
        stretch = torch.exp(self._uniform(count, -ASPECT, ASPECT)) if varied else torch.ones(count)
        for axis, side in enumerate((scale * stretch, scale / stretch)):
            maps[:, axis, 2] = (1 - side).abs() * self._uniform(count, -1, 1)
            flips = self.settings.vertical_flip if axis else self.settings.horizontal_flip
            maps[:, axis, axis] = torch.where(self._coin(count, 0.5 * flips), -side, side)
        return maps


def moved_boxes(
    corners: Tensor, maps: Tensor, old: tuple[int, ...] | torch.Size, new: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Boxes [n, m, 4] in pictures of the size `old`, seen through `maps` in the size `new`, and their visible shares.

    `maps` [n, 2, 3] lead from the new picture to the old one, in -1..1, and do not turn.
    """
    scale, shift = maps[:, None, [0, 1], [0, 1]], maps[:, None, :, 2]
    before, after = torch.tensor([old[1], old[0]]), torch.tensor([new[1], new[0]])
    ends = [((corners[..., part] / before * 2 - 1 - shift) / scale + 1) / 2 * after for part in ([0, 1], [2, 3])]
    whole = torch.cat([torch.minimum(*ends), torch.maximum(*ends)], dim=-1)
    seen = torch.minimum(whole.clamp(min=0), after.repeat(2))
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (seen, whole)]
    return seen, areas[0] / areas[1].clamp(min=1e-6)


def padded(truths: Sequence[Truth]) -> tuple[Tensor, Tensor]:
    """Boxes float32 [n, m, 4] and labels int64 [n, m], as many for each picture."""
    most = max((len(truth.labels) for truth in truths), default=0)
    corners = torch.zeros(len(truths), most, 4)
    labels = torch.full((len(truths), most), FILLING)
    for row, truth in enumerate(truths):
        corners[row, : len(truth.labels)] = torch.from_numpy(truth.placed)
        labels[row, : len(truth.labels)] = torch.from_numpy(truth.labels)
    return corners, labels


class BoxObjective:
    """Rows of the detector [n, locations, 4 + 1 + classes], targets boxes [n, m, 4] and labels [n, m]."""

    ties_by_loss = False

    def __init__(
        self, recipe: Recipe, preprocessing: ResolvedPreprocessing, metric: str, own: Change | None = None
    ) -> None:
        height, width = preprocessing.height, preprocessing.width
        self._augment = BoxAugmentation(recipe.augmentation, height, width, recipe.training.seed, own=own)
        self._size = (height, width)
        self._grid = Grid.of(height, width)
        self._metric = metric

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        images = torch.from_numpy(pictures.pixels[np.asarray(rows)])
        corners, labels = padded([pictures.targets[row] for row in rows])
        if not training:
            return images, (corners, labels)
        varied, moved, kept = self._augment.both(images, corners, labels)
        return varied, (moved, kept)

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        corners, labels = target
        return detection_loss(scores, corners, labels, self._grid.to(scores.device))

    def validation(self) -> "BoxValidation":
        return BoxValidation(self)

    def found(self, rows: Tensor) -> Boxes:
        """The boxes of one picture that are counted, in pixels of the network's input."""
        return counted(rows.numpy(), *self._size)

    def metric_of(self, found: Sequence[Boxes], known: Sequence[Known], classes: int) -> float:
        """The gate's metric."""
        return metric_of(self._metric, match(found, known, classes))


class BoxValidation:
    def __init__(self, objective: BoxObjective) -> None:
        self._objective = objective
        self._losses: list[float] = []
        self._found: list[Boxes] = []
        self._known: list[Known] = []
        self._classes = 0

    def add(self, scores: Tensor, *target: Tensor) -> None:
        corners, labels = target
        self._losses += [float(self._objective.loss(scores, corners, labels))] * len(scores)
        self._found += [self._objective.found(rows) for rows in scores]
        self._classes = scores.shape[2] - BOX - 1
        for boxes, names in zip(corners.numpy(), labels.numpy(), strict=True):
            real = names != FILLING
            self._known.append(Known(boxes[real].astype(np.float64), names[real]))

    def result(self) -> tuple[float, float]:
        return float(np.mean(self._losses)), self._objective.metric_of(self._found, self._known, self._classes)
