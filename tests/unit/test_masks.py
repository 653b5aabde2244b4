"""Pictures with masks: which belongs to which, what values mean, and masks that cannot be right."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import ExitCode
from autotrain_api.trainingjob import Data
from autotrain_server.preprocess import Picture
from autotrain_trainer.data.mask_values import IGNORE, MaskError
from autotrain_trainer.data.masks import Masks, mask_pairs, to_input
from autotrain_trainer.failures import RunError

GREY = [[0, 1], [2, 255]]


def picture(path: Path, width: int = 2, height: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def mask(path: Path, values=GREY, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, np.uint16 if mode.startswith("I") else np.uint8))
    if mode == "P":
        image.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    image.save(path)


def read(root: Path, **fields):
    parts, classes = mask_pairs(root, Data(uri="file:///d", layout="MaskPairs", **fields))
    return parts, classes


def refusal(root: Path, **fields) -> str:
    with pytest.raises(RunError) as caught:
        read(root, **fields)
    assert caught.value.exit_code == ExitCode.USER_ERROR
    return str(caught.value)


PLACES = {
    "folders in parts": ("train/images/1.jpg", "train/masks/1.png"),
    "parts in folders": ("images/train/1.jpg", "masks/train/1.png"),
    "folders without parts": ("images/1.jpg", "masks/1.png"),
    "the folders of Pascal VOC": ("JPEGImages/1.jpg", "SegmentationClass/1.png"),
    "side by side": ("1.jpg", "1.png"),
    "side by side, by ending": ("1.png", "1_mask.png"),
    "deeper folders": ("images/a/b/1.jpg", "masks/a/b/1.png"),
    "an ending in another folder": ("images/1.jpg", "masks/1_mask.png"),
}


@pytest.mark.parametrize(("image", "its_mask"), PLACES.values(), ids=PLACES)
def test_a_picture_finds_its_mask(tmp_path, image, its_mask):
    picture(tmp_path / image)
    mask(tmp_path / its_mask)

    parts, classes = read(tmp_path)

    assert [sample.name for sample in parts.train] == [image]
    assert classes == ["background", "1", "2"]
    np.testing.assert_array_equal(parts.train[0].read_mask(), [[0, 1], [2, IGNORE]])


def test_parts_are_told_apart(tmp_path):
    for part in ("train", "valid", "held"):
        picture(tmp_path / part / "images/1.jpg")
        mask(tmp_path / part / "masks/1.png")

    parts, _ = read(tmp_path, test="held")

    sides = (parts.train, parts.validation, parts.test)
    assert [[sample.name for sample in side] for side in sides] == [
        [f"{part}/images/1.jpg"] for part in ("train", "valid", "held")
    ]


def sides_of(root: Path, **fields) -> list[list[str]]:
    parts, _ = read(root, **fields)
    return [[sample.name for sample in side] for side in (parts.train, parts.validation, parts.test)]


def test_a_training_folder_is_the_training_part(tmp_path):
    for part in ("training", "validation"):
        picture(tmp_path / f"images/{part}/{part}.jpg")
        mask(tmp_path / f"annotations/{part}/{part}.png")

    assert sides_of(tmp_path) == [["images/training/training.jpg"], ["images/validation/validation.jpg"], []]


def test_everything_is_trained_on_but_what_lies_in_other_parts(tmp_path):
    for part in ("most", "val", "held", "test"):
        picture(tmp_path / f"images/{part}/1.jpg")
        mask(tmp_path / f"masks/{part}/1.png")

    assert sides_of(tmp_path, test="held") == [["images/most/1.jpg"], ["images/val/1.jpg"], ["images/held/1.jpg"]]


def pair(root: Path, values=GREY, mode: str = "L") -> Path:
    picture(root / "images/1.jpg")
    mask(root / "masks/1.png", values, mode)
    return root


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_values_are_positions_whatever_the_mode(tmp_path, mode):
    parts, classes = read(pair(tmp_path, mode=mode), classes=["sky", "sea"])

    assert classes == ["background", "sky", "sea"]
    np.testing.assert_array_equal(parts.train[0].read_mask(), [[0, 1], [2, IGNORE]])


def test_values_with_gaps_are_classes_in_their_order(tmp_path):
    parts, classes = read(pair(tmp_path, [[7, 0], [40, 255]]))

    assert classes == ["background", "7", "40"]
    np.testing.assert_array_equal(parts.train[0].read_mask(), [[1, 0], [2, IGNORE]])


@pytest.mark.parametrize("classes", [[], ["balloon"]], ids=["without a name", "with a name"])
def test_white_is_the_object_when_there_is_nothing_else(tmp_path, classes):
    parts, found = read(pair(tmp_path, [[0, 255], [255, 0]]), classes=classes)

    assert found == ["background", *(classes or ["object"])]
    np.testing.assert_array_equal(parts.train[0].read_mask(), [[0, 1], [1, 0]])


COLOURED = [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [255, 0, 0]]]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroof:255,0,0::\ntree:0,255,0::\n"),
        ("class_dict.csv", "name,r,g,b\nroof,255,0,0\ntree,0,255,0\n"),
    ],
)
def test_colours_have_the_names_of_the_data(tmp_path, file, content):
    (pair(tmp_path, COLOURED) / file).write_text(content)

    parts, classes = read(tmp_path)

    assert classes == ["background", "roof", "tree"]
    np.testing.assert_array_equal(parts.train[0].read_mask(), [[0, 1], [2, 1]])


def test_colours_without_names_are_named_by_themselves(tmp_path):
    parts, classes = read(pair(tmp_path, COLOURED))

    assert sorted(classes) == ["#00ff00", "#ff0000", "background"]
    assert classes[int(parts.train[0].read_mask()[0, 1])] == "#ff0000"


NAMES = "background:0,0,0::\nroof:255,0,0::\ntree:0,255,0::\n"


def palette_pair(root: Path, name: str, values, palette: list[int]) -> None:
    """A palette mask with colours for 0, 1, 2."""
    picture(root / f"images/{name}.jpg")
    image = Image.fromarray(np.array(values, np.uint8))
    image.putpalette(palette)
    image.save(root / f"masks/{name}.png")


@pytest.mark.parametrize("names", ["", NAMES], ids=["without names", "with names"])
def test_palette_masks_count_by_their_colours_beside_masks_in_colour(tmp_path, names):
    pair(tmp_path, COLOURED)
    palette_pair(tmp_path, "2", [[0, 1], [2, 1]], [0, 0, 0, 255, 0, 0, 0, 255, 0])
    if names:
        (tmp_path / "labelmap.txt").write_text(names)

    parts, classes = read(tmp_path)

    assert len(classes) == 3
    first, second = (sample.read_mask() for sample in parts.train)
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(second)) == {0, 1, 2}


def test_grey_beside_colours_is_a_colour(tmp_path):
    pair(tmp_path, COLOURED)
    picture(tmp_path / "images/2.jpg")
    mask(tmp_path / "masks/2.png", [[0, 255], [0, 0]])

    parts, classes = read(tmp_path)

    assert classes[int(parts.train[1].read_mask()[0, 1])] == "#ffffff"


def test_grey_that_no_class_has_beside_colours_is_named_with_its_file(tmp_path):
    pair(tmp_path, COLOURED)
    picture(tmp_path / "images/2.jpg")
    mask(tmp_path / "masks/2.png", [[[200] * 3, [0] * 3], [[0] * 3, [0] * 3]])
    (tmp_path / "labelmap.txt").write_text(NAMES)

    told = refusal(tmp_path)

    assert "masks have colours that no class has: #c8c8c8 in masks/2.png" in told
    assert "the colours of the 3 classes are #000000, #ff0000, #00ff00" in told


@pytest.mark.parametrize(
    ("values", "wanted"),
    [(COLOURED, [[0, 1], [2, 1]]), ([[0, 255], [255, 0]], [[0, 3], [3, 0]])],
    ids=["in colour", "black and white"],
)
def test_the_background_may_stand_anywhere_among_colours(tmp_path, values, wanted):
    (pair(tmp_path, values) / "class_dict.csv").write_text(
        "name,r,g,b\nRoof,255,0,0\nTree,0,255,0\nBackground,0,0,0\nWater,255,255,255\n"
    )

    parts, classes = read(tmp_path)

    assert classes == ["Background", "Roof", "Tree", "Water"]
    np.testing.assert_array_equal(parts.train[0].read_mask(), wanted)


def test_names_come_from_a_text_file(tmp_path):
    (pair(tmp_path) / "classes.txt").write_text("_background_\nsky\nsea\n")

    assert read(tmp_path)[1] == ["_background_", "sky", "sea"]


def test_a_value_that_no_class_has_is_named_with_its_file(tmp_path):
    told = refusal(pair(tmp_path, [[0, 9], [1, 2]]), classes=["sky", "sea"])

    assert "9 in masks/1.png" in told
    assert "0 to 2" in told


def test_a_colour_that_no_class_has_is_named_with_its_file(tmp_path):
    (pair(tmp_path, COLOURED) / "labelmap.txt").write_text("roof:255,0,0::\n")

    assert "#00ff00 in masks/1.png" in refusal(tmp_path)


BAD = {
    "no masks": (lambda root: picture(root / "images/1.jpg"), "no pictures with masks"),
    "a picture without one": (lambda root: picture(pair(root) / "images/2.jpg"), "1 of 2 pictures have no mask"),
    "no such part": (lambda root: pair(root), "there is no folder 'learn'"),
    "nothing but background": (lambda root: pair(root, [[0, 0], [0, 0]]), "nothing but background"),
    "text for a mask": (lambda root: (pair(root) / "masks/1.png").write_text("no"), "masks/1.png does not open"),
    "deep values": (lambda root: pair(root, [[0, 300], [1, 2]], "I;16"), "masks/1.png: a mask's values are 0 to 255"),
    "colours and no names": (lambda root: pair(root, COLOURED), "labelmap.txt"),
    "the background last": (
        lambda root: (pair(root) / "classes.txt").write_text("a\nbackground\n"),
        "has to be the first",
    ),
    "a name twice": (lambda root: (pair(root) / "classes.txt").write_text("a\na\n"), "has a name twice"),
}


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
def test_data_that_cannot_be_right_is_named(tmp_path, make, words):
    make(tmp_path)
    fields = {"no such part": {"train": "learn"}, "colours and no names": {"classes": ["sky", "sea"]}}

    case = next(name for name, (other, _) in BAD.items() if other is make)
    assert words in refusal(tmp_path, **fields.get(case, {}))


def preprocessing(resize: str) -> ResolvedPreprocessing:
    return ResolvedPreprocessing(
        height=8, width=8, resize=resize, interpolation="Bilinear", mean=[0.5] * 3, std=[0.5] * 3
    )


def test_padding_is_not_known():
    found = to_input(np.full((10, 20), 3, np.uint8), preprocessing("Letterbox"))

    assert (found[2:6] == 3).all()
    assert (found[[0, 1, 6, 7]] == IGNORE).all()


def test_a_mask_of_another_size_is_not_taken(tmp_path):
    parts, _ = read(pair(tmp_path))

    with pytest.raises(MaskError, match="the mask has 2 x 2 pixels, the picture 3 x 2"):
        Masks(1).put(0, parts.train[0], Picture(np.zeros((8, 8, 3), np.uint8), 3, 2), preprocessing("Squish"))


def test_masks_are_collected_in_the_order_of_rows(tmp_path):
    parts, _ = read(pair(tmp_path, [[0, 1], [1, 1]]))
    targets = Masks(3)
    for row in (2, 0):
        targets.put(row, parts.train[0], Picture(np.zeros((8, 8, 3), np.uint8), 2, 2), preprocessing("Squish"))

    assert targets.collect([0, 2]).shape == (2, 8, 8)
    assert set(np.unique(targets.collect([2]))) == {0, 1}
