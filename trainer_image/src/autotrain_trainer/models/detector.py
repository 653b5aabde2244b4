"""FCOS on any timm backbone: features at three strides, a pyramid of five levels, torchvision's heads over all of them.

One row of scores per location: distances to the four sides of a box in strides, centre-ness logit, class logits. Where
locations lie and how rows become boxes is the server's (autotrain_server.tasks.boxes), here as there.
Source: Tian et al., "FCOS: A Simple and Strong Anchor-free Object Detector" (arXiv:2006.09214).
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Model
from autotrain_trainer.data.fetch import Report
from autotrain_trainer.failures import RunError
from autotrain_trainer.initial_weights import load_initial
from autotrain_trainer.model import Network, create_backbone, resolve_preprocessing, try_forward

BACKBONE_STRIDES = (8, 16, 32)
SIZE_STEP = 32
"""Sides of the input are multiples of it, so that each level has twice the cells of the next."""
CHANNELS = 128
"""Of the pyramid and the heads: half of the paper's, a third of the time on a processor."""
CONVOLUTIONS = 2
"""In each tower of the heads."""
FIRST_DISTANCE = 2.0
"""What an untrained head says in strides: away from 0, where its ReLU has no gradient."""


class Detector(nn.Module):
    """float [n, 3, height, width], normalised, sides multiples of 32 -> float [n, locations, 4 + 1 + classes]."""

    def __init__(self, body: nn.Module, channels: list[int], classes: int) -> None:
        """`body` gives feature maps with `channels` at BACKBONE_STRIDES."""
        super().__init__()
        self.body = body
        self.channels_last = getattr(body, "output_fmt", "NCHW") == "NHWC"  # as Swin has it
        self.neck = FeaturePyramidNetwork(channels, CHANNELS, extra_blocks=LastLevelP6P7(CHANNELS, CHANNELS))
        self.head = FCOSHead(CHANNELS, 1, classes, CONVOLUTIONS)
        nn.init.constant_(self.head.regression_head.bbox_reg.bias, FIRST_DISTANCE)
        for tower in (self.head.regression_head.conv, self.head.classification_head.conv):
            for layer in tower:
                if isinstance(layer, nn.Conv2d):  # torchvision's first weights are too small to learn fast
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pixels: Tensor) -> Tensor:
        found = [features.permute(0, 3, 1, 2) if self.channels_last else features for features in self.body(pixels)]
        maps = OrderedDict((str(level), features) for level, features in enumerate(found))
        said = self.head(list(self.neck(maps).values()))
        return torch.cat([said["bbox_regression"], said["bbox_ctrness"], said["cls_logits"]], dim=2)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        """What is new, and learns alone while the backbone is frozen."""
        return self.neck, self.head


def build(run: RunConfig, classes: int, work: Path, report: Report) -> tuple[Network, ResolvedPreprocessing]:
    """The detector with fresh heads for `classes`, and how pictures come to its input. Raises RunError."""
    model, wanted = run.recipe.model, run.recipe.preprocessing
    check_size(model)
    body: Any = create_backbone(model, {"features_only": True, "out_indices": levels_of(model)})
    load_initial(body, run, work, report)
    letterboxed = wanted.model_copy(update={"resize": wanted.resize or "Letterbox"})
    preprocessing = whole_cells(resolve_preprocessing(body, model, letterboxed))
    network = Network(Detector(body, body.feature_info.channels(), classes), preprocessing.mean, preprocessing.std)
    network.to(memory_format=torch.channels_last)
    try_forward(network, model.backbone, preprocessing.height, preprocessing.width)
    return network, preprocessing


def whole_cells(preprocessing: ResolvedPreprocessing) -> ResolvedPreprocessing:
    """The next size that is a multiple of SIZE_STEP."""
    height, width = (-(-side // SIZE_STEP) * SIZE_STEP for side in (preprocessing.height, preprocessing.width))
    return preprocessing.model_copy(update={"height": height, "width": width})


def check_size(model: Model) -> None:
    """Raises RunError."""
    size = model.image_size
    if size is not None and size % SIZE_STEP:
        below = size // SIZE_STEP * SIZE_STEP
        near = f"{below} or {below + SIZE_STEP}" if below else str(SIZE_STEP)
        raise RunError(
            Stage.CONFIG,
            Reason.INVALID_SPEC,
            f"model.imageSize: {size} is not a multiple of {SIZE_STEP}, which ObjectDetection needs; take {near}",
        )


def levels_of(model: Model) -> tuple[int, ...]:
    """Positions of the backbone's features at BACKBONE_STRIDES. Raises RunError."""
    backbone: Any = create_backbone(model, {"features_only": True, "pretrained": False})
    strides = backbone.feature_info.reduction()
    if missing := [stride for stride in BACKBONE_STRIDES if stride not in strides]:
        raise RunError(
            Stage.MODEL,
            Reason.MODEL_INVALID,
            f"ObjectDetection needs features at strides 8, 16 and 32; {model.backbone!r} has {strides}, "
            f"not {', '.join(map(str, missing))}",
        )
    return tuple(strides.index(stride) for stride in BACKBONE_STRIDES)
