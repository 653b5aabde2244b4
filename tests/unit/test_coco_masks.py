"""COCO's polygons and run lengths become masks of classes."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as drawing

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.coco_masks import coco_masks
from autotrain_trainer.data.mask_values import MaskError
from autotrain_trainer.data.masks import MaskSample
from autotrain_trainer.failures import RunError

WIDTH, HEIGHT = 12, 8
LEFT = [0.0, 0, 6, 0, 6, 8, 0, 8]
SMALL = [2.0, 2, 5, 2, 5, 6, 2, 6]


def write(root: Path, *annotations: dict[str, Any], **image: Any) -> Path:
    """One picture, and its annotations as (category id, segmentation)."""
    (root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images/a.png")
    document = {
        "images": [{"id": 3, "file_name": "a.png", "width": WIDTH, "height": HEIGHT} | image],
        "categories": [{"id": 7, "name": "roof"}, {"id": 90, "name": "pool"}],
        "annotations": [{"id": 1, "image_id": 3, **one} for one in annotations],
    }
    (root / "result.json").write_text(json.dumps(document))
    return root


def marked(segmentation: Any, category: int = 7) -> dict[str, Any]:
    return {"category_id": category, "segmentation": segmentation}


def mask_of(root: Path, **data: Any) -> tuple[np.ndarray, list[str]]:
    parts, classes = coco_masks(root, Data(uri="file:///x", **data))
    return cast(MaskSample, parts.train[0]).read_mask(), classes


def test_polygons_are_drawn_and_small_objects_lie_over_large_ones(tmp_path):
    mask, classes = mask_of(write(tmp_path, marked([SMALL], 90), marked([LEFT])))

    assert classes == ["background", "pool", "roof"]
    assert mask.dtype == np.uint8
    assert (mask[:, :2] == 2).all()
    assert (mask[:, 7:] == 0).all()
    assert (mask[3:5, 3:5] == 1).all()


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_are_read_column_by_column(tmp_path, compressed):
    wanted = np.zeros((HEIGHT, WIDTH), np.uint8)
    wanted[2:, 3] = 1
    counts: Any = [3 * HEIGHT + 2, 6, WIDTH * HEIGHT - 3 * HEIGHT - 8]
    if compressed:
        counts = drawing.encode(np.asfortranarray(wanted))["counts"].decode()
    mask, classes = mask_of(write(tmp_path, marked({"size": [HEIGHT, WIDTH], "counts": counts})))

    assert classes == ["background", "roof"]
    assert (mask == wanted).all()


def test_the_spec_may_give_the_classes_and_their_order(tmp_path):
    mask, classes = mask_of(write(tmp_path, marked([LEFT])), classes=["roof", "pool"])

    assert classes == ["background", "roof", "pool"]
    assert mask.max() == 1


def test_a_picture_without_annotations_is_background(tmp_path):
    write(tmp_path, marked([LEFT]))
    document = json.loads((tmp_path / "result.json").read_text())
    document["images"].insert(0, {"id": 4, "file_name": "b.png"})
    (tmp_path / "result.json").write_text(json.dumps(document))
    Image.new("RGB", (5, 4)).save(tmp_path / "b.png")

    mask, _ = mask_of(tmp_path)
    assert mask.tolist() == [[0] * 5] * 4


def test_names_of_another_machine_are_found_by_their_last_part(tmp_path):
    mask, _ = mask_of(write(tmp_path, marked([LEFT]), file_name="..\\..\\label-studio\\data\\media/upload\\a.png"))

    assert mask.any()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([], "annotations[0], segmentation: there is none; Segmentation needs polygons or run lengths"),
        ([[1, 2, 3, 4]], "annotations[0], segmentation: 4 numbers are no polygon"),
        ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers are no polygon"),
        ([[1, 2, 3, 4, 5, float("nan")]], "a corner is no number"),
        ("roof", "annotations.0.segmentation"),
    ],
)
def test_what_marks_nothing_ends_the_run_with_its_place(tmp_path, segmentation, said):
    with pytest.raises(RunError) as caught:
        mask_of(write(tmp_path, marked(segmentation)))

    assert said in str(caught.value)
    assert caught.value.reason == Reason.DATA_LAYOUT_INVALID


@pytest.mark.parametrize(
    ("size", "counts", "said"),
    [
        ([4, 4], [16], "run lengths are for 4 x 4 pixels, the picture has 12 x 8"),
        ([8, 12], [90], "run lengths cover 90 of 96 pixels"),
        ([8, 12], [100, -4], "a run length is below 0"),
        ([8, 12], "52", "annotations\\[0\\]: run lengths cover 7 of 96 pixels"),
        ([8, 12], "zzz", "'z' does not occur in compressed run lengths, which have '0' to 'o'"),
        ([8, 12], "5R", "the compressed run lengths end within a number"),
        ([8, 12], "5O", "a run length is below 0"),
    ],
)
def test_run_lengths_of_another_size_are_damage_of_that_picture(tmp_path, size, counts, said):
    with pytest.raises(MaskError, match=said):
        mask_of(write(tmp_path, marked({"size": size, "counts": counts})))


def test_compressed_run_lengths_are_those_of_pycocotools(tmp_path):
    wanted = (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5).astype(np.uint8)
    wanted[:, 2:10] = 1
    counts = drawing.encode(np.asfortranarray(wanted))["counts"].decode()

    mask, _ = mask_of(write(tmp_path, marked({"size": [HEIGHT, WIDTH], "counts": counts})))

    assert (mask == wanted).all()


@pytest.mark.parametrize(
    ("polygon", "said"),
    [
        ([20, 1, 24, 1, 24, 5], "the polygon around (20, 1, 24, 5) lies outside of its picture of 12 x 8"),
        ([1, -9, 4, -9, 4, 0], "the polygon around (1, -9, 4, 0) lies outside"),
        ([1, 1, 1000, 1, 4, 5], "the corner (1000, 1) lies far outside of its picture of 12 x 8"),
        ([1, 1, 4, 1, 4, -20], "the corner (4, -20) lies far outside"),
    ],
)
def test_polygons_outside_of_their_picture_are_damage_of_it(tmp_path, polygon, said):
    with pytest.raises(MaskError) as caught:
        mask_of(write(tmp_path, marked([polygon])))

    assert str(caught.value).startswith("result.json, annotations[0]: ")
    assert said in str(caught.value)


def test_polygons_may_reach_a_little_beyond_the_edge(tmp_path):
    mask, _ = mask_of(write(tmp_path, marked([[-3, -3, 6, -3, 6, 11, -3, 11], [13, 2, 15, 2, 15, 4]])))

    assert mask.tolist() == [[1] * 6 + [0] * 6] * 8


def test_a_byte_order_mark_and_sizes_that_are_null_are_read(tmp_path):
    write(tmp_path, marked([LEFT]), width=None, height=None)
    path = tmp_path / "result.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")

    assert mask_of(tmp_path)[0].shape == (HEIGHT, WIDTH)


def test_classes_that_the_spec_does_not_list_are_named(tmp_path):
    with pytest.raises(RunError, match="does not list: pool"):
        mask_of(write(tmp_path, marked([LEFT]), marked([SMALL], 90)), classes=["roof"])


def test_annotations_without_any_object_are_named(tmp_path):
    with pytest.raises(RunError, match="no annotation marks an object"):
        mask_of(write(tmp_path))
