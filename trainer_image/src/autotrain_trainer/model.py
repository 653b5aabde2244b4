"""The network: a timm backbone that takes uint8 pictures, with what timm knows about its input."""

from pathlib import Path
from typing import Any

import timm
import timm.data
import torch
from torch import Tensor, nn

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason, Stage
from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Model, Preprocessing
from autotrain_server.functions import FunctionError
from autotrain_trainer.data.fetch import Report
from autotrain_trainer.failures import RunError, translate
from autotrain_trainer.initial_weights import load_initial
from autotrain_trainer.own_functions import OwnFunctions
from autotrain_trainer.pretrained import created

INTERPOLATIONS = {"nearest": "Nearest", "bilinear": "Bilinear", "bicubic": "Bicubic", "lanczos": "Lanczos"}
RESIZES = {"center": "CropToFill", "squash": "Squish", "border": "Letterbox"}


class Trainable(nn.Module):
    """A network as the loop takes it: uint8 [n, height, width, 3] in, one tensor of float32 scores out."""

    precision: torch.dtype | None = None
    """Autocast type of the training steps; None is float32. Evaluation is float32 always, as served."""

    def groups(self) -> list[list[nn.Parameter]]:
        """Parameters of [body, head]; the head learns alone while the body is frozen."""
        raise NotImplementedError


class Network(Trainable):
    """uint8 [n, height, width, 3] -> float32 logits [n, classes]; normalisation is inside, so it is exported along."""

    def __init__(self, backbone: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if self.precision is None or not self.training:
            scores: Tensor = self.backbone(pixels)
            return scores
        with torch.autocast(pixels.device.type, self.precision):
            scores = self.backbone(pixels)
        return scores.float()

    def groups(self) -> list[list[nn.Parameter]]:
        """See Trainable; the head is timm's classifier."""
        classifier = self.backbone.get_classifier()  # type: ignore[operator]
        parts = classifier if isinstance(classifier, tuple) else (classifier,)
        head = {id(parameter) for part in parts for parameter in part.parameters()}
        return [
            [parameter for parameter in self.parameters() if id(parameter) not in head],
            [parameter for parameter in self.parameters() if id(parameter) in head],
        ]


class WithHead(nn.Module):
    """A backbone without a classifier and one of the job's own heads over its pooled features [n, channels]."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(pixels))
        return scores

    def get_classifier(self) -> nn.Module:
        """As timm's models have it."""
        return self.head


def build(
    run: RunConfig, classes: int, work: Path, report: Report, own: OwnFunctions
) -> tuple[Network, ResolvedPreprocessing]:
    """The network with a fresh head for `classes`, and how pictures come to its input. Raises RunError."""
    model = run.recipe.model
    backbone = create_backbone(model, {"num_classes": 0 if model.head else classes})
    load_initial(backbone, run, work, report)
    preprocessing = resolve_preprocessing(backbone, model, run.recipe.preprocessing)
    if model.head is not None:
        backbone = with_head(backbone, run, classes, preprocessing, own)
    network = Network(backbone, preprocessing.mean, preprocessing.std)
    network.to(memory_format=torch.channels_last)
    try_forward(network, model.backbone, preprocessing.height, preprocessing.width)
    return network, preprocessing


def with_head(
    body: nn.Module, run: RunConfig, classes: int, preprocessing: ResolvedPreprocessing, own: OwnFunctions
) -> WithHead:
    """spec.model.head over `body`. It may ask for in_features (head_input_size) and num_classes. Raises FunctionError."""
    wanted = run.recipe.model.head
    if wanted is None or own.training is None:
        raise ValueError("the run names no head")
    pixels = torch.zeros((1, 3, preprocessing.height, preprocessing.width))
    with torch.no_grad():
        features = body.eval()(pixels)
    width = features.shape[-1]
    offered = {"in_features": width, "head_input_size": width, "num_classes": classes}
    made = own.training.find("head", wanted.function, wanted.args, offered)
    if not isinstance(made.call, nn.Module):
        raise FunctionError(f"{made.file}: {made.name} gave {type(made.call).__name__}; a torch.nn.Module is wanted")
    with torch.no_grad():
        made.call.eval()
        scores = made(features)
    if not isinstance(scores, Tensor) or scores.shape != (1, classes):
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise FunctionError(
            f"{made.file}: {made.name} gave {found} for features {tuple(features.shape)}; (1, {classes}) is wanted, a "
            "score for each class"
        )
    return WithHead(body, made.call)


def try_forward(network: Network, name: str, height: int, width: int) -> None:
    """Some backbones are built for a size that they cannot take. Raises RunError."""
    try:
        with torch.no_grad():
            network.eval()(torch.zeros((1, height, width, 3), dtype=torch.uint8))
    except (RuntimeError, AssertionError, ValueError) as error:
        problem = translate(error, Stage.MODEL)
        if problem.reason == Reason.OUT_OF_MEMORY:
            raise problem from error
        message = f"{name!r} does not take pictures of {height} x {width}: {error}"
        raise RunError(Stage.MODEL, Reason.MODEL_INVALID, message) from error


def create_backbone(model: Model, wanted: dict[str, Any]) -> nn.Module:
    """timm's model with the options `wanted`. Raises RunError with MODEL_INVALID or PRETRAINED_WEIGHTS_UNAVAILABLE."""
    options = {"pretrained": from_hub(model)} | wanted
    if model.image_size is not None:
        try:
            return _create(model, options | {"img_size": model.image_size})
        except TypeError:
            pass  # a convolutional network takes any size and has no such argument
    return _create(model, options)


def from_hub(model: Model) -> bool:
    """Whether timm's own weights are wanted."""
    return model.pretrained and model.initial_weights is None


def _create(model: Model, options: dict[str, Any]) -> nn.Module:
    try:
        backbone = created(lambda: timm.create_model(model.backbone, **options))
    except TypeError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        if from_hub(model) and not _builds_without_weights(model, options):
            raise RunError(
                Stage.MODEL, Reason.MODEL_INVALID, f"timm cannot build {model.backbone!r}: {text}"
            ) from error
        if from_hub(model):
            raise RunError(
                Stage.MODEL,
                Reason.PRETRAINED_WEIGHTS_UNAVAILABLE,
                f"the pretrained weights of {model.backbone!r} cannot be had: {text}",
            ) from error
        raise RunError(Stage.MODEL, Reason.MODEL_INVALID, f"timm cannot build {model.backbone!r}: {text}") from error
    return backbone


def _builds_without_weights(model: Model, options: dict[str, Any]) -> bool:
    try:
        timm.create_model(model.backbone, **(options | {"pretrained": False}))
    except Exception:  # noqa: BLE001 - only whether it builds is asked; the caller reports the first error
        return False
    return True


def resolve_preprocessing(backbone: nn.Module, model: Model, wanted: Preprocessing) -> ResolvedPreprocessing:
    """What the spec says, and for the rest what timm knows about the backbone."""
    known = timm.data.resolve_model_data_config(backbone)  # type: ignore[attr-defined, no-untyped-call]
    height, width = (model.image_size, model.image_size) if model.image_size else known["input_size"][1:]
    return ResolvedPreprocessing(
        height=height,
        width=width,
        resize=wanted.resize or RESIZES.get(known.get("crop_mode", "center"), "CropToFill"),  # type: ignore[arg-type]
        interpolation=wanted.interpolation or INTERPOLATIONS.get(known["interpolation"], "Bicubic"),  # type: ignore[arg-type]
        crop_fraction=float(
            wanted.crop_fraction or (known["crop_pct"] if wanted.resize in (None, "CropToFill") else 1.0)
        ),
        mean=[float(value) for value in wanted.mean or known["mean"]],
        std=[float(value) for value in wanted.std or known["std"]],
        function=wanted.function or "",
    )
