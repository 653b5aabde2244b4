"""Average precision against pycocotools' own, on boxes that are near, doubled, missed, crowded and tied."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from autotrain_server.tasks.boxes import Boxes
from autotrain_trainer.box_assessment import same_boxes
from autotrain_trainer.box_metrics import (
    Known,
    average_precisions,
    match,
    measure,
    metric_of,
    paired,
    worst_classes,
)
from autotrain_trainer.data.boxes import CROWD

CLASSES = 3
PICTURES = 12
NONE = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def truth(random: np.random.Generator, crowds: bool) -> Known:
    count = int(random.integers(0, 6))
    corner = random.uniform(0, 60, (count, 2))
    labels = random.integers(0, CLASSES, count)
    if crowds:
        labels = np.where(random.random(count) < 0.2, CROWD, labels)
    return Known(np.concatenate([corner, corner + random.uniform(5, 30, (count, 2))], axis=1), labels)


def guesses(random: np.random.Generator, known: Known) -> Boxes:
    """Each true box about twice, moved, now and then as another class; and boxes out of nowhere."""
    chosen = np.repeat(np.arange(len(known.labels)), 2)[: int(random.integers(0, 2 * len(known.labels) + 1))]
    corners = known.corners[chosen] + random.normal(0, 2, (len(chosen), 4))
    labels = np.where(random.random(len(chosen)) < 0.8, known.labels[chosen], random.integers(0, CLASSES, len(chosen)))
    stray = random.uniform(0, 60, (2, 2))
    corners = np.concatenate([corners, np.concatenate([stray, stray + random.uniform(5, 30, (2, 2))], axis=1)])
    labels = np.concatenate([labels, random.integers(0, CLASSES, 2)]).clip(0)
    scores = random.integers(1, 20, len(labels)) / 20  # with ties
    order = np.argsort(-scores, kind="stable")
    return Boxes(corners[order].astype(np.float32), scores[order].astype(np.float32), labels[order])


def made(seed: int, crowds: bool) -> tuple[list[Boxes], list[Known]]:
    random = np.random.default_rng(seed)
    known = [truth(random, crowds) for _ in range(PICTURES)]
    return [guesses(random, one) for one in known], known


def pycocotools_own(found: list[Boxes], known: list[Known]) -> tuple[float, float]:
    """(mAP50, mAP). A crowd of unknown class stands in every class, as COCO writes one per class."""
    annotations, answers = [], []
    for number, (boxes, true) in enumerate(zip(found, known, strict=True)):
        for (x0, y0, x1, y1), label in zip(true.corners, true.labels, strict=True):
            for category in range(CLASSES) if label == CROWD else [label]:
                box = {
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": int(label == CROWD),
                }
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": int(category), **box}
                )
        for (x0, y0, x1, y1), score, label in zip(*boxes, strict=True):
            box = [float(x0), float(y0), float(x1) - float(x0), float(y1) - float(y0)]
            answers.append({"image_id": number, "category_id": int(label), "bbox": box, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        file = COCO()
        file.dataset = {
            "images": [{"id": number} for number in range(len(known))],
            "categories": [{"id": label} for label in range(CLASSES)],
            "annotations": annotations,
        }
        file.createIndex()
        evaluation = COCOeval(file, file.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


@pytest.mark.parametrize("crowds", [False, True], ids=["without crowds", "with crowds"])
@pytest.mark.parametrize("seed", range(6))
def test_both_metrics_are_pycocotools_own(seed, crowds):
    found, known = made(seed, crowds)

    matches = match(found, known, CLASSES)

    assert (metric_of("mAP50", matches), metric_of("mAP", matches)) == pytest.approx(pycocotools_own(found, known))


def test_perfect_boxes_are_worth_one_and_none_are_worth_nothing():
    known = made(0, crowds=False)[1]
    perfect = [Boxes(one.corners.astype(np.float32), np.ones(len(one.labels), np.float32), one.labels) for one in known]

    assert metric_of("mAP", match(perfect, known, CLASSES)) == pytest.approx(1)
    assert metric_of("mAP50", match([NONE] * PICTURES, known, CLASSES)) == 0


def test_a_class_that_does_not_occur_is_not_counted():
    known = [Known(np.array([[0.0, 0, 10, 10]]), np.array([1]))]
    found = [
        Boxes(np.array([[0, 0, 10, 10], [0, 0, 9, 9]], np.float32), np.array([0.9, 0.8], np.float32), np.array([1, 2]))
    ]

    matches = match(found, known, CLASSES)

    assert np.isnan(average_precisions(matches)[0]).all()
    assert metric_of("mAP50", matches) == 1


def test_weights_count_pictures_as_often_as_copies_of_them():
    found, known = made(1, crowds=False)
    random = np.random.default_rng(0)
    found = [one._replace(scores=random.random(len(one.scores), np.float32)) for one in found]  # none alike
    weights = random.integers(0, 3, PICTURES)
    copies = np.repeat(np.arange(PICTURES), weights)

    weighed = average_precisions(match(found, known, CLASSES), weights.astype(np.float64))
    copied = average_precisions(match([found[at] for at in copies], [known[at] for at in copies], CLASSES))

    np.testing.assert_allclose(weighed, copied)


def test_metrics_carry_an_interval_around_them_and_the_gate_s_comes_first():
    metrics = measure(match(*made(2, crowds=False), CLASSES), "mAP")

    assert [metric.name for metric in metrics] == ["mAP", "mAP50"]
    assert all(metric.low <= metric.value <= metric.high for metric in metrics)
    assert metrics[0].low < metrics[0].high
    assert metrics[0].samples == PICTURES


def test_a_model_does_not_differ_from_itself():
    matches = match(*made(3, crowds=False), CLASSES)

    assert paired("mAP50", matches, matches) == (0, 0, 0)


def test_the_worst_class_comes_first():
    found, known = made(4, crowds=False)
    kept = [
        one._replace(corners=one.corners + np.where(one.labels == 2, 100, 0)[:, None].astype(np.float32))
        for one in found
    ]

    assert worst_classes(match(kept, known, CLASSES), ["a", "b", "c"])[0].name == "c"


def test_boxes_agree_when_they_lie_in_the_same_place():
    one = Boxes(np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32), np.ones(2, np.float32), np.array([0, 1]))
    moved = one._replace(corners=one.corners + np.array([[0], [8]], np.float32))

    assert same_boxes(one, one) == 1
    assert same_boxes(one, moved) == 0.5
    assert same_boxes(one, one._replace(labels=np.array([1, 0]))) == 0
    assert same_boxes(NONE, NONE) == 1
    assert same_boxes(one, NONE) == 0
