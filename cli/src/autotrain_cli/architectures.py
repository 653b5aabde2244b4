"""Names of networks in AutoTrain's libraries become timm's: what a task is, and which backbone."""

import difflib
import re
from typing import Any, get_args

from autotrain_api import backbones
from autotrain_api.trainingjob import Task
from autotrain_cli.conversions import Doubtful, Facts, NotUsed, Read, Unfit, words

TASKS: dict[str, Task] = {
    "classification": "Classification",
    "imageclassification": "Classification",
    "multilabel": "MultiLabelClassification",
    "multilabelclassification": "MultiLabelClassification",
    "objectdetection": "ObjectDetection",
    "detection": "ObjectDetection",
    "segmentation": "Segmentation",
    "semanticsegmentation": "Segmentation",
    "instancesegmentation": "Segmentation",
}
"""Letters of AutoTrain's `type` -> task."""

SEGMENTERS = ("mask_rcnn", "unet", "deeplabv3", "deeplabv3plus", "segformer")
YOLO_SIZES = {
    "nano": "resnet18",
    "small": "resnet18",
    "medium": "resnet34",
    "large": "resnet50",
    "extra_large": "resnet101",
}
"""Sizes of YOLOv5 -> the timm backbone with about as many parameters."""
EFFICIENTDET = re.compile(r"(?P<tf>tf_)?(?:(?P<lite>lite)|d)(?P<size>[0-7])")


def task(value: Any, _: Facts) -> Task:
    return task_named(words(value))


def task_named(text: str) -> Task:
    """Raises Unfit."""
    letters = re.sub(r"[^a-z]", "", text.lower())
    if letters not in TASKS:
        near = difflib.get_close_matches(letters, TASKS, n=1)
        hint = f"; did you mean {TASKS[near[0]]}?" if near else ""
        raise Unfit(f"{', '.join(get_args(Task))}, or AutoTrain's classification, object_detection, segmentation{hint}")
    return TASKS[letters]


def task_of_network(model_type: Any) -> Task:
    """AutoTrain names the network of detectors and segmenters only."""
    if model_type is None:
        return "Classification"
    return "Segmentation" if str(model_type).rpartition(".")[2] in SEGMENTERS else "ObjectDetection"


def backbone(value: Any, facts: Facts) -> str | Read:
    """A name in timm."""
    name = words(value)
    if backbones.is_known(name) or name.startswith("hf-hub:"):
        return name
    if found := YOLO_SIZES.get(name.removesuffix("_p6")):
        return Doubtful(found, f"the size {name} of YOLOv5 is no timm backbone; this one has about as many parameters")
    if facts.task == "ObjectDetection" and (found := _efficientdet(name)):
        return Read(found, f"the backbone of EfficientDet's {name}")
    if found := _known_beginning(name):
        return (
            Read(found, f"timm's name of {name!r}")
            if facts.task != "Classification"
            else Doubtful(found, f"timm has no model {name!r} any more, but this one")
        )
    near = backbones.nearest(name)
    raise Unfit("a model of timm" + (f"; did you mean {', '.join(near)}?" if near else ""))


def _efficientdet(name: str) -> str | None:
    match = EFFICIENTDET.fullmatch(name)
    if match is None:
        return None
    if match["lite"]:
        return f"tf_efficientnet_lite{min(int(match['size']), 4)}"
    return f"{match['tf'] or ''}efficientnet_b{match['size']}"


def _known_beginning(name: str) -> str | None:
    """`resnet34` of resnet34_fpn; the rest may name weights: `tf_efficientnet_b0.ns_jft_in1k` of tf_efficientnet_b0_ns."""
    words = name.split("_")
    for count in range(len(words) - 1, 0, -1):
        base, rest = "_".join(words[:count]), "_".join(words[count:])
        tags = backbones.known_backbones().get(base)
        if tags is not None:
            tag = next((tag for tag in tags if f"_{rest}_" in f"_{tag}_"), None)
            return f"{base}.{tag}" if tag else base
    return None


def detector(value: Any, _: Facts) -> str:
    if str(value).rpartition(".")[2] == "fcos":
        return "FCOS"
    raise NotUsed("the operator's detector is FCOS on a feature pyramid of the backbone")


def decoder(value: Any, _: Facts) -> str:
    name = str(value).rpartition(".")[2]
    if name.startswith("deeplabv3"):
        return "DeepLabV3Plus"
    if name == "unet":
        return "Unet"
    raise NotUsed(
        "the operator gives each pixel a class (DeepLabV3Plus, FPN or Unet: model.decoder) and tells no instances apart"
    )
