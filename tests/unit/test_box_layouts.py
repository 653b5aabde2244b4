import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_server.preprocess import Picture
from autotrain_trainer.data.box_tables import box_table
from autotrain_trainer.data.boxes import CROWD, BoxTargets, MarkedBox, box_sample, check_boxes, checked
from autotrain_trainer.data.coco import coco
from autotrain_trainer.data.voc import voc
from autotrain_trainer.failures import RunError

URI = "file:///data"
SIDE = 40


def picture(path: Path, grey: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (grey, grey, grey)).save(path)


def write_coco(path: Path, **changes: Any) -> None:
    document: dict[str, Any] = {
        "images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [5, 5, 30.5, 30], "iscrowd": 1},
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document | changes))


def write_voc(path: Path, *objects: tuple[str, int, int, int, int], filename: str = "") -> None:
    entries = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in objects
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{filename or path.stem + '.png'}</filename>{entries}</annotation>")


def message(reader: Any, root: Path, **fields: Any) -> str:
    with pytest.raises(RunError) as caught:
        reader(root, Data(uri=URI, **fields))
    assert caught.value.exit_code == 65
    return str(caught.value)


def boxes_of(sample: Any) -> list[tuple[Any, ...]]:
    return [(*box.corners, box.label) for box in sample.boxes]


# --- COCO


def test_coco_gives_corners_labels_of_any_category_id_and_pictures_without_boxes(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    write_coco(tmp_path / "train.json")

    first, second = coco(tmp_path, Data(uri=URI)).train

    assert boxes_of(first) == [(1, 2, 11, 22, "dog"), (5, 5, 35.5, 35, "cat")]
    assert [box.crowd for box in first.boxes] == [False, True]
    assert (first.name, first.label, second.label, second.boxes) == ("a.png", "dog", "", ())


def test_the_parts_of_cocos_own_archives_are_found(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in "ab":
            picture(tmp_path / f"{part}2017/{name}.png")
        write_coco(tmp_path / f"annotations/instances_{part}2017.json")
        (tmp_path / f"annotations/captions_{part}2017.json").write_text("{}")

    parts = coco(tmp_path, Data(uri=URI))

    assert parts.train[0].name == "train2017/a.png"
    assert parts.validation[0].name == "val2017/a.png"


def test_annotations_beside_their_pictures_in_a_folder_for_each_part_are_found(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for name in "ab":
            picture(tmp_path / part / f"{name}.png")
        write_coco(tmp_path / part / "_annotations.coco.json")

    parts = coco(tmp_path, Data(uri=URI))

    assert [len(parts.train), len(parts.validation)] == [2, 2]
    assert parts.validation[0].name == "valid/a.png"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"images": [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "gone.png"}]}, "images[1]: 'gone.png'"),
        (
            {"annotations": [{"image_id": 8, "category_id": 3, "bbox": [0, 0, 1, 1]}]},
            "train.json, annotations[0]: there is no entry with image_id 8",
        ),
        (
            {"annotations": [{"image_id": 7, "category_id": 4, "bbox": [0, 0, 1, 1]}]},
            "train.json, annotations[0]: there is no entry with category_id 4",
        ),
        ({"annotations": [{"image_id": 7, "category_id": 3, "bbox": [0, 0, 1]}]}, "annotations.0.bbox"),
        ({"annotations": [{"image_id": 7, "category_id": 3}]}, "annotations.0.bbox: Field required"),
        ({"categories": None}, "train.json is not a COCO annotation file: categories"),
        (
            {"categories": [{"id": 3, "name": "cat"}, {"id": 3, "name": "dog"}]},
            "train.json, categories[1]: the id 3 is taken",
        ),
    ],
)
def test_coco_files_that_cannot_be_right_are_named_with_the_place(
    tmp_path: Path, changes: dict[str, Any], wanted: str
) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    write_coco(tmp_path / "train.json", **changes)

    assert wanted in message(coco, tmp_path)


def test_coco_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{")

    assert "train.json is not a COCO annotation file: the file: Invalid JSON" in message(coco, tmp_path)


def test_several_json_files_without_a_part_in_their_names_are_listed(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        write_coco(tmp_path / name)

    assert "name the annotations in spec.data.train; JSON files found: one.json, two.json" in message(coco, tmp_path)


def test_a_picture_outside_of_the_data_is_missing(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    write_coco(tmp_path / "data/train.json", images=[{"id": 7, "file_name": "../secret.png"}], annotations=[])

    assert "'../secret.png'" in message(coco, tmp_path / "data")


def test_coco_with_a_byte_order_mark_and_null_for_what_is_not_known_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    write_coco(
        tmp_path / "train.json",
        images=[{"id": 7, "file_name": "a.png", "width": None, "height": None}],
        annotations=[{"image_id": 7, "category_id": 3, "bbox": [0, 0, 1, 1], "iscrowd": None}],
    )
    path = tmp_path / "train.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")

    (found,) = coco(tmp_path, Data(uri=URI)).train

    assert boxes_of(found) == [(0, 0, 1, 1, "cat")]
    assert not found.boxes[0].crowd


# --- Pascal VOC


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"JPEGImages/{name}.png")
        write_voc(tmp_path / f"Annotations/{name}.xml", ("cat", 1, 1, 10, 20))
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("b  1\n\n")

    parts = voc(tmp_path, Data(uri=URI))

    assert [sample.name for sample in (*parts.train, *parts.validation)] == ["JPEGImages/a.png", "JPEGImages/b.png"]
    assert boxes_of(parts.train[0]) == [(0, 0, 10, 20, "cat")]


def test_names_in_lists_may_have_spaces_and_columns_behind_them(tmp_path: Path) -> None:
    for name in ("my cat", "dog"):
        picture(tmp_path / f"JPEGImages/{name}.png")
        write_voc(tmp_path / f"Annotations/{name}.xml", ("cat", 1, 1, 10, 20))
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(f"my cat\ndog {'1,2,3 ' * 99}\n")

    samples = voc(tmp_path, Data(uri=URI)).train

    assert [sample.name for sample in samples] == ["JPEGImages/my cat.png", "JPEGImages/dog.png"]


def test_everything_is_trained_on_but_what_other_parts_have(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"JPEGImages/{name}.png")
        write_voc(tmp_path / f"Annotations/{name}.xml", ("cat", 1, 1, 10, 20))
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/val.txt").write_text("b\n")

    picture(tmp_path / "test/c.png")
    write_voc(tmp_path / "test/c.xml", ("cat", 1, 1, 10, 20))

    parts = voc(tmp_path, Data(uri=URI))

    assert [[sample.name for sample in side] for side in (parts.train, parts.validation)] == [
        ["JPEGImages/a.png"],
        ["JPEGImages/b.png"],
    ]


def test_xml_files_beside_their_pictures_are_found_by_part(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        picture(tmp_path / part / "a.png")
        write_voc(tmp_path / part / "a.xml", filename="elsewhere/called_otherwise.jpg")

    parts = voc(tmp_path, Data(uri=URI))

    assert [sample.name for sample in (*parts.train, *parts.validation)] == ["train/a.png", "valid/a.png"]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("<annotation>", "a.xml is not an XML file"),
        ('<?xml version="1.0" encoding="utf8-mac-x"?><annotation/>', "a.xml is not an XML file: unknown encoding"),
        ("<annotation><object><name>cat</name></object></annotation>", "a.xml, object[0]: xmin is '', not a number"),
        ("<annotation><object/></annotation>", "a.xml, object[0]: the object has no name"),
    ],
)
def test_voc_files_that_cannot_be_right_are_named_with_the_place(tmp_path: Path, content: str, wanted: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(content)

    assert wanted in message(voc, tmp_path)


def test_voc_without_its_picture_names_the_annotation(tmp_path: Path) -> None:
    write_voc(tmp_path / "a.xml")

    assert "1 pictures that are not in the data: a.xml" in message(voc, tmp_path)


# --- tables


def test_a_table_has_a_row_for_each_box_and_pictures_without_any(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "train.csv").write_text(
        "image_path,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4.5,Tree\na.png,5,6,7,8,Bush\nb.png,,,,,\n"
    )

    first, second = box_table(tmp_path, Data(uri=URI, layout="Csv")).train

    assert boxes_of(first) == [(1, 2, 3, 4.5, "Tree"), (5, 6, 7, 8, "Bush")]
    assert second.boxes == ()


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("image,xmin,ymin,xmax,ymax,label\na.png,1,x,3,4,Tree\n", "train.csv, line 2: ymin is 'x', not a number"),
        ("image,xmin,ymin,xmax,ymax,label\na.png,1,2,3,,Tree\n", "train.csv, line 2: ymax is '', not a number"),
        ("image,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,\n", "train.csv, line 2: the label is empty"),
        (
            "image,xmin,ymin,xmax,ymax,label\n\ngone.png,1,2,3,4,Tree\ngone.png,1,2,3,4,Bush\n",
            "train.csv names 1 pictures that are not in the data: line 3: 'gone.png'",
        ),
        ("image,xmin,ymin,xmax,label\n", "train.csv has no column 'ymax' or 'y2'; columns found: image, xmin"),
        ("file,xmin,ymin,xmax,ymax,label\n", "has no column 'image' or 'image_path'"),
        ("image,xmin,ymin,xmax,ymax,label\n\n\na.png,1,x,3,4,Tree\n", "train.csv, line 4: ymin is 'x'"),
        ("image,xmin,ymin,xmax,ymax,label\n\na.png,1,2,3,4,a,b\n", "train.csv, line 3 has more than the 6 cells"),
        (
            "image,xmin,ymin,xmax,ymax,label\n/one/a.png,1,2,3,4,Tree\n/two/a.png,1,2,3,4,Tree\n",
            "train.csv names '/one/a.png' and '/two/a.png', and only a.png is there for both",
        ),
    ],
)
def test_tables_that_cannot_be_right_are_named_with_the_line(tmp_path: Path, table: str, wanted: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "train.csv").write_text(table)

    assert wanted in message(box_table, tmp_path, layout="Csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("columns", ["Image, XMin,YMIN ,xmax,ymax,Label", "filename,x1,y1,x2,y2,class"])
def test_tables_have_columns_of_several_spellings_and_delimiters(tmp_path: Path, columns: str, delimiter: str) -> None:
    picture(tmp_path / "a.png")
    lines = [columns, "a.png,1,2,3,4.5,Tree"]
    (tmp_path / "train.csv").write_text("\n".join(lines).replace(",", delimiter))

    (found,) = box_table(tmp_path, Data(uri=URI, layout="Csv")).train

    assert boxes_of(found) == [(1, 2, 3, 4.5, "Tree")]


def test_columns_that_the_spec_names_need_no_capitals(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "train.csv").write_text("File,xmin,ymin,xmax,ymax,Kind,Roll\na.png,1,2,3,4,Tree,7\n")
    data = Data(uri=URI, layout="Csv", imageColumn="file", labelColumn="kind", groupColumn="roll")

    (found,) = box_table(tmp_path, data).train

    assert (found.label, found.group) == ("Tree", "7")


@pytest.mark.parametrize(
    "name", ["images\\1.png", "/home/me/data/images/1.png", "C:\\data\\images\\1.png", "/elsewhere/2.png"]
)
def test_paths_of_another_machine_are_found_by_their_last_parts(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "images/1.png")
    picture(tmp_path / "2.png")
    (tmp_path / "train.csv").write_text(f"image,xmin,ymin,xmax,ymax,label\n{name},1,2,3,4,Tree\n")

    (found,) = box_table(tmp_path, Data(uri=URI, layout="Csv")).train

    assert found.read()
    assert boxes_of(found) == [(1, 2, 3, 4, "Tree")]


def test_rows_of_one_picture_are_one_sample_however_its_path_is_written(tmp_path: Path) -> None:
    picture(tmp_path / "images/1.png")
    rows = [f"{name},1,2,3,4,Tree" for name in ("images\\1.png", "images/1.png", "./images/1.png")]
    (tmp_path / "train.csv").write_text("\n".join(["image,xmin,ymin,xmax,ymax,label", *rows]))

    (found,) = box_table(tmp_path, Data(uri=URI, layout="Csv")).train

    assert len(found.boxes) == 3


# --- boxes and their pictures


def marked(*corners: tuple[float, float, float, float]) -> list[MarkedBox]:
    return [MarkedBox(box, "cat", f"train.json, annotations[{place}]") for place, box in enumerate(corners)]


def test_boxes_beyond_the_edge_are_cut_off_and_counted() -> None:
    found = checked(marked((-2, 3, 20, 45), (0, 0, 5, 5)), SIDE, SIDE)

    assert [box.corners for box in found.boxes] == [(0, 3, 20, 40), (0, 0, 5, 5)]
    assert check_boxes([found]) == (1, [])


@pytest.mark.parametrize(
    ("corners", "wanted"),
    [
        ((5, 5, 5, 9), "train.json, annotations[0]: the box (5, 5, 5, 9) has no area"),
        ((9, 5, 7, 9), "the box (9, 5, 7, 9) has no area"),
        ((50, 5, 60, 9), "the box (50, 5, 60, 9) lies outside of its picture of 40 x 40"),
        ((30, 0, 60, 9), "the box (30, 0, 60, 9) lies mostly outside of its picture of 40 x 40"),
        ((float("nan"), 0, 60, 9), "is not made of finite numbers"),
    ],
)
def test_boxes_that_cannot_be_right_end_the_run_with_file_and_place(
    corners: tuple[float, float, float, float], wanted: str
) -> None:
    with pytest.raises(RunError, match="1 of 1 boxes cannot be right, more than 1%") as caught:
        check_boxes([checked(marked(corners), SIDE, SIDE)])

    assert wanted in str(caught.value)
    assert caught.value.reason == Reason.DATA_LAYOUT_INVALID


def test_a_few_wrong_boxes_of_many_are_left_out_and_named() -> None:
    found = checked(marked(*[(0, 0, 5, 5)] * 150, (7, 7, 7, 7)), SIDE, SIDE)

    assert len(found.boxes) == 150
    assert check_boxes([found]) == (0, ["train.json, annotations[150]: the box (7, 7, 7, 7) has no area"])


def test_boxes_move_with_their_letterboxed_picture_and_crowds_have_their_own_label() -> None:
    boxes = [MarkedBox((0, 0, 20, 10), "dog", ""), MarkedBox((0, 0, 5, 5), "cat", "", crowd=True)]
    wide = ResolvedPreprocessing(
        height=64, width=64, resize="Letterbox", interpolation="Bilinear", mean=[0, 0, 0], std=[1, 1, 1]
    )
    targets = BoxTargets(["cat", "dog"], [], 1)

    targets.put(0, box_sample("a", bytes, boxes), Picture(np.zeros((64, 64, 3), np.uint8), 20, 10), wide)

    (found,) = targets.collect([0])
    assert found.placed.tolist() == [[0, 16, 64, 48], [0, 16, 16, 32]]
    assert found.labels.tolist() == [1, CROWD]
