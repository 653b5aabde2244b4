"""The network of Segmentation: a decoder of segmentation_models_pytorch on any timm backbone that gives features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason, Stage
from autotrain_api.revision import Recipe
from autotrain_api.run import RunConfig
from autotrain_server.tasks.segmentation import CERTAIN
from autotrain_trainer.data.fetch import Report
from autotrain_trainer.failures import RunError
from autotrain_trainer.initial_weights import load_initial
from autotrain_trainer.model import Network, from_hub, resolve_preprocessing, try_forward
from autotrain_trainer.pretrained import created

DECODERS = {
    "DeepLabV3Plus": smp.DeepLabV3Plus,
    "FPN": partial(smp.FPN, decoder_pyramid_channels=128, decoder_segmentation_channels=64),
    "Unet": smp.Unet,
}
"""FPN has half of the channels that the library gives it, and takes about 60 % of the time on a processor."""
DEFAULT_DECODER = "DeepLabV3Plus"
STRIDE = 32
"""Sides of the input are multiples of it."""
RESIZES = ("Letterbox", "Squish")


class Segmenter(Network):
    """uint8 [n, height, width, 3] -> float32 logits [n, classes, height, width]; normalisation is inside."""

    def groups(self) -> list[list[nn.Parameter]]:
        """See Trainable; all but the encoder is the head."""
        body = {id(parameter) for parameter in encoder_of(self.backbone).parameters()}
        return [
            [parameter for parameter in self.parameters() if id(parameter) in body],
            [parameter for parameter in self.parameters() if id(parameter) not in body],
        ]


def encoder_of(network: Any) -> Any:
    """The backbone, as segmentation_models_pytorch wraps it; `model` of it is timm's."""
    return network.encoder


class Maps(nn.Module):
    """uint8 [n, height, width, 3] -> uint8 [n, 2, height, width]: the likeliest class, and its probability."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> Tensor:
        probability, position = functional.softmax(self.segmenter(images), dim=1).max(dim=1)
        return torch.stack([position.float(), (probability * CERTAIN).round()], dim=1).to(torch.uint8)


def build(run: RunConfig, classes: int, work: Path, report: Report) -> tuple[Segmenter, ResolvedPreprocessing]:
    """The network, and how pictures come to its input. Raises RunError."""
    recipe, model = run.recipe, run.recipe.model
    network = _create(recipe, classes)
    load_initial(encoder_of(network).model, run, work, report)
    preprocessing = _preprocessing(recipe, network)
    segmenter = Segmenter(network, preprocessing.mean, preprocessing.std)
    segmenter.to(memory_format=torch.channels_last)
    try_forward(segmenter, model.backbone, preprocessing.height, preprocessing.width)
    return segmenter, preprocessing


def _create(recipe: Recipe, classes: int) -> nn.Module:
    """Raises RunError with MODEL_INVALID or PRETRAINED_WEIGHTS_UNAVAILABLE."""
    model = recipe.model
    make = DECODERS[model.decoder or DEFAULT_DECODER]
    options = {"encoder_name": f"tu-{model.backbone}", "in_channels": 3, "classes": classes}
    try:
        network = created(lambda: make(**options, encoder_weights="imagenet" if from_hub(model) else None))
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if from_hub(model) and _builds(make, options):
            message = f"the pretrained weights of {model.backbone!r} cannot be had: {text}"
            raise RunError(Stage.MODEL, Reason.PRETRAINED_WEIGHTS_UNAVAILABLE, message) from error
        message = f"{model.decoder or DEFAULT_DECODER} does not take {model.backbone!r} as its backbone: {text}"
        raise RunError(Stage.MODEL, Reason.MODEL_INVALID, message) from error
    return network


def _builds(make: Callable[..., nn.Module], options: dict[str, object]) -> bool:
    try:
        make(**options, encoder_weights=None)
    except Exception:  # noqa: BLE001 - only whether it builds is asked; the caller reports the first error
        return False
    return True


def _preprocessing(recipe: Recipe, network: nn.Module) -> ResolvedPreprocessing:
    """Letterbox, in sides that are multiples of STRIDE. Raises RunError."""
    wanted = recipe.preprocessing
    if wanted.resize is not None and wanted.resize not in RESIZES:
        message = (
            f"preprocessing.resize: {wanted.resize!r} cuts off what a mask has to cover; take {' or '.join(RESIZES)}"
        )
        raise RunError(Stage.MODEL, Reason.INVALID_SPEC, message)
    size = recipe.model.image_size
    if size is not None and size % STRIDE:
        near = f"{size // STRIDE * STRIDE or STRIDE} or {-(-size // STRIDE) * STRIDE}"
        message = f"model.imageSize: {size} is not a multiple of {STRIDE}, which decoders need; take {near}"
        raise RunError(Stage.MODEL, Reason.INVALID_SPEC, message)
    known = resolve_preprocessing(encoder_of(network).model, recipe.model, wanted)
    height, width = (-(-side // STRIDE) * STRIDE for side in (known.height, known.width))
    return known.model_copy(
        update={"height": height, "width": width, "resize": wanted.resize or "Letterbox", "crop_fraction": 1.0}
    )
