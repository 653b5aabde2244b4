"""Class maps become answers, and what masks are worth."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.geometry import corner_of, region_of
from autotrain_server.tasks import Seen
from autotrain_server.tasks.segmentation import Segmentation
from autotrain_trainer.mask_measure import measure_masks, metric_of, overlaps_of, paired_masks, worst_masks

CLASSES = ["background", "roof", "tree"]


def task(height: int = 8, width: int = 8, resize: str = "Letterbox") -> Segmentation:
    way = ResolvedPreprocessing(
        height=height, width=width, resize=resize, interpolation="Bilinear", mean=[0.5] * 3, std=[0.5] * 3
    )
    return Segmentation(CLASSES, way, {})


def maps(classes, confidence: int = 255) -> np.ndarray:
    classes = np.asarray(classes, np.uint8)
    return np.stack([classes, np.full_like(classes, confidence)])


def pixels_of(mask: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(mask))))


def painted(counts: list[int], height: int, width: int) -> np.ndarray:
    """What COCO's run lengths mean."""
    values = np.repeat(np.arange(len(counts)) % 2, counts)
    return values.reshape(width, height).T


@given(
    arrays.arrays(np.uint8, (2, 8, 8), elements=st.integers(0, 2)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["Letterbox", "CropToFill", "Squish"]),
)
def test_what_is_answered_is_what_the_nearest_pixels_of_the_maps_say(scores, width, height, resize):
    here, seen = task(resize=resize), Seen(scores, width, height)
    region = region_of(width, height, here.preprocessing)
    left, top = corner_of(region, here.preprocessing)
    classes, confidence = (
        np.asarray(
            Image.fromarray(one[top : top + region.height, left : left + region.width]).resize((width, height), 0)
        )
        for one in scores
    )

    answer = here.answer(seen, Postprocessing())

    np.testing.assert_array_equal(pixels_of(answer.mask), classes)
    assert {found.label for found in answer.classes} == {CLASSES[value] for value in np.unique(classes) if value}
    for found in answer.classes:
        own = classes == CLASSES.index(found.label)
        assert found.pixels == own.sum()
        assert found.confidence == pytest.approx(confidence[own].mean() / 255, abs=1e-6)
        np.testing.assert_array_equal(painted(found.rle.counts, *found.rle.size), own)


def test_the_answer_is_in_the_pixels_of_the_upload():
    classes = np.zeros((8, 8), np.uint8)
    classes[2:6, :4] = 1  # the left half of a picture that is twice as wide as high

    answer = task().answer(Seen(maps(classes, 204), 200, 100), Postprocessing(labels={"roof": "Roof"}))

    assert (answer.width, answer.height) == (200, 100)
    [found] = answer.classes
    assert (found.label, found.pixels, found.share, found.confidence) == ("Roof", 10_000, 0.5, 0.8)
    mask = pixels_of(answer.mask)
    assert mask.shape == (100, 200)
    np.testing.assert_array_equal(mask, np.repeat([1, 0], 100)[None].repeat(100, axis=0))
    np.testing.assert_array_equal(painted(found.rle.counts, *found.rle.size), mask == 1)


def test_what_was_guessed_in_the_padding_is_not_answered():
    classes = np.full((8, 8), 2, np.uint8)
    classes[2:6] = 0

    assert task().answer(Seen(maps(classes), 20, 10), Postprocessing()).classes == []


def test_the_largest_class_comes_first():
    classes = np.zeros((8, 8), np.uint8)
    classes[0, :3], classes[4:] = 1, 2

    answer = task().answer(Seen(maps(classes), 8, 8), Postprocessing())

    assert [found.label for found in answer.classes] == ["tree", "roof"]
    assert task().labels(answer) == ["tree", "roof"]
    assert task().headlines(np.stack([maps(classes), maps(np.zeros((8, 8)))])) == ["tree", "background"]


def test_only_classes_are_coloured_in_the_drawing():
    classes = np.zeros((8, 8), np.uint8)
    classes[:4] = 1
    answer = task().answer(Seen(maps(classes), 8, 8), Postprocessing())

    drawn = np.asarray(task().draw(Image.new("RGB", (8, 8), (200, 200, 200)), answer))

    assert (drawn[4:] == 200).all()
    assert (drawn[:4] == drawn[0, 0]).all()
    assert tuple(drawn[0, 0]) != (200, 200, 200)


def test_the_protocol_gets_the_mask_and_the_answer():
    seen = Seen(maps(np.ones((8, 8))), 8, 8)
    outputs = task().outputs([seen] * 2, [task().answer(seen, Postprocessing())] * 2)

    assert {name: (kind, shape) for name, (kind, shape, _) in outputs.items()} == task().tensors(2)
    assert (pixels_of(outputs["mask"][2][1]) == 1).all()


PROBLEMS = {
    "another type": (maps(np.zeros((8, 8))).astype(np.float32)[None], "float32"),
    "another size": (maps(np.zeros((4, 8)))[None], "not uint8 (1, 2, 8, 8)"),
    "a class that is not there": (maps(np.full((8, 8), 3))[None], "class 3; there are 3"),
}


@pytest.mark.parametrize(("scores", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_scores_of_another_model_are_told(scores, words):
    assert words in task().problem(scores)


def test_the_difference_is_that_of_the_worst_picture():
    wanted = np.stack([maps(np.zeros((8, 8)))] * 2)
    found = wanted.copy()
    found[1, 0, 0, :2] = 1

    assert task().difference(wanted, wanted, 1) == 0
    assert task().difference(found, wanted, 1) == pytest.approx(2 / 64)


# --- what masks are worth


def test_iou_is_that_of_the_pixels_whose_class_is_known():
    truth = np.array([[[0, 1, 1, 255]], [[2, 2, 0, 0]]], np.uint8)
    found = np.array([[[1, 1, 0, 1]], [[2, 0, 0, 0]]], np.uint8)

    overlaps = overlaps_of(found, truth, 3)

    np.testing.assert_allclose(overlaps.ious(), [2 / 5, 1 / 3, 1 / 2, 2 / 5])
    assert metric_of("mIoU", overlaps) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert metric_of("foregroundIoU", overlaps) == pytest.approx(2 / 5)
    assert [(item.name, item.value) for item in worst_masks(overlaps, CLASSES)] == [("roof", 0.3333), ("tree", 0.5)]


def test_a_class_that_occurs_nowhere_does_not_count():
    masks = np.array([[[0, 1]]], np.uint8)

    assert metric_of("mIoU", overlaps_of(masks, masks, 3)) == 1
    assert metric_of("mIoU", overlaps_of(masks * 0, masks * 0, 3)) == 0


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(np.uint8, (6, 4, 4), elements=st.sampled_from([0, 1, 2, 255])), st.randoms(use_true_random=False))
def test_values_lie_in_their_intervals_and_a_model_differs_from_itself_by_nothing(truth, random):
    found = np.where(np.arange(16).reshape(4, 4) % random.randint(1, 4) == 0, truth % 3, 1).astype(np.uint8)
    overlaps = overlaps_of(found, truth, 3)

    assert paired_masks("mIoU", overlaps, overlaps) == (0, 0, 0)
    for value in measure_masks(overlaps, "foregroundIoU"):
        assert 0 <= value.low <= value.high <= 1
        assert 0 <= value.value <= 1
