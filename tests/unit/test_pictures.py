import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import ExitCode, Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.pictures import PictureSet, cache_scale, load_pictures, side_of, training_preprocessing
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.failures import RunError
from autotrain_trainer.labels import Labels, check_classes

CLASSES = ["even", "odd"]
PREPROCESSING = ResolvedPreprocessing(
    height=16, width=16, resize="Squish", interpolation="Nearest", mean=[0.5] * 3, std=[0.5] * 3
)


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (level % 256, level // 256, 0)).save(file, "PNG")
    return file.getvalue()


def sample(level: int, content: bytes | None = None, group: str | None = None) -> Sample:
    """Its name, its label and the first channel of its pixels tell which one it is."""
    data = png(level) if content is None else content
    return Sample(f"{level}.png", CLASSES[level % 2], lambda: data, group)


def load(parts: Parts, work: Path, report: Callable[[str], None] = lambda _: None, **fields) -> PictureSet:
    data = Data(uri="file:///d", **fields)
    return load_pictures(parts, data, PREPROCESSING, work, report, partial(Labels, CLASSES))


def levels(pictures) -> list[int]:
    return [int(image[0, 0, 0]) + 256 * int(image[0, 0, 1]) for image in pictures.pixels]


def test_every_picture_lies_with_its_own_label_on_one_side(tmp_path):
    loaded = load(Parts([sample(level) for level in range(400)]), tmp_path, test_fraction=0.2)
    sides = [loaded.train, loaded.validation, loaded.test]

    assert sorted(level for side in sides for level in levels(side)) == list(range(400))
    for side in sides:
        assert levels(side) == [int(item.name.partition(".")[0]) for item in side.samples]
        assert [level % 2 for level in levels(side)] == side.targets.tolist()
        assert 40 < len(side) < 300
    assert loaded.published is loaded.test


def blank(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("resize", "sizes", "wanted"),
    [
        ("Squish", [(64, 64)], 24),
        ("Squish", [(20, 16)], 20),
        ("Squish", [(8, 8)], 16),
        ("CropToFill", [(20, 64)], 20),
        ("Letterbox", [(10, 20)], 20),
        ("Squish", [(8, 8), (20, 20), (64, 64)], 20),
    ],
)
def test_training_pictures_are_kept_larger_than_the_network_s_input_where_they_are(resize, sizes, wanted):
    contents = [blank(*sizes[number % len(sizes)]) for number in range(39)] + [b"no picture"]
    parts = Parts([sample(number, content) for number, content in enumerate(contents)], [sample(100)])
    preprocessing = PREPROCESSING.model_copy(update={"resize": resize})

    scale = cache_scale(parts.train, preprocessing)

    larger = training_preprocessing(preprocessing, scale)
    assert (larger.height, larger.width) == (wanted, wanted)


def test_training_pictures_of_the_network_s_size_keep_their_pixels(tmp_path):
    random = np.random.default_rng(17)
    pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")

    loaded = load(Parts([sample(level, file.getvalue()) for level in (0, 1)], [sample(2), sample(3)]), tmp_path)

    assert np.array_equal(loaded.train.pixels[0], pixels)


def test_given_parts_are_not_split(tmp_path):
    loaded = load(Parts([sample(1), sample(2)], [sample(3)], [sample(4), sample(5)]), tmp_path, test_fraction=0)

    assert [levels(side) for side in (loaded.train, loaded.validation, loaded.test)] == [[1, 2], [3], [4, 5]]


def test_a_picture_keeps_its_side_when_others_come_and_copies_share_it(tmp_path):
    few = load(Parts([sample(level) for level in range(0, 300, 3)]), tmp_path)
    many = load(Parts([sample(level) for level in range(300)] + [sample(7), sample(7)]), tmp_path)

    assert set(levels(few.validation)) <= set(levels(many.validation))
    assert not set(levels(many.train)) & set(levels(many.validation))


def test_a_group_stays_together():
    data, parts = Data(uri="file:///d", layout="Csv", group_column="who"), Parts([])

    sides = {group: {side_of(sample(n, group=group), png(n), parts, data) for n in range(20)} for group in "abcdefghij"}

    assert all(len(side) == 1 for side in sides.values())
    assert len(set.union(*sides.values())) == 2


def test_another_seed_splits_otherwise():
    parts = Parts([])

    def validation(seed: int) -> list[int]:
        data = Data(uri="file:///d", split_seed=seed)
        return [n for n in range(200) if side_of(sample(n), png(n), parts, data) == "validation"]

    assert validation(1) == validation(1) != validation(2)


def test_one_damaged_picture_in_a_thousand_is_left_out_and_named(tmp_path):
    samples = [sample(level) for level in range(999)] + [sample(999, png(9)[:40])]

    loaded = load(Parts(samples), tmp_path)

    assert len(loaded.train) + len(loaded.validation) == 999
    assert len(loaded.damaged) == 1
    assert loaded.damaged[0].startswith("999.png: ")


def test_a_picture_that_cannot_be_read_is_damaged(tmp_path):
    def unreadable() -> bytes:
        raise OSError("input/output error")

    samples = [sample(level) for level in range(200)] + [Sample("bad.png", "odd", unreadable)]

    assert load(Parts(samples), tmp_path).damaged == ["bad.png: input/output error"]


def test_more_than_one_percent_damaged_stops_the_run_and_names_some(tmp_path):
    samples = [sample(level) for level in range(95)] + [sample(level, b"?") for level in range(95, 100)]

    with pytest.raises(RunError, match=r"5 of 100 pictures are damaged.*95\.png") as caught:
        load(Parts(samples), tmp_path)

    assert caught.value.reason == Reason.DATA_DAMAGED
    assert caught.value.exit_code == ExitCode.USER_ERROR


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (Parts([sample(1)]), Reason.DATA_LAYOUT_INVALID),
        (Parts([sample(1), sample(3)], [sample(2)]), Reason.DATA_ONE_CLASS),
    ],
    ids=["nothing to validate", "one class to train on"],
)
def test_a_split_that_cannot_be_trained_on_is_told(tmp_path, parts, reason):
    with pytest.raises(RunError) as caught:
        check_classes(load(parts, tmp_path), CLASSES)

    assert caught.value.reason == reason


def test_pixels_may_lie_in_a_file_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("autotrain_trainer.data.pictures.MEMORY_SHARE", 0.0)

    loaded = load(Parts([sample(level) for level in range(50)]), tmp_path)

    assert isinstance(loaded.train.pixels, np.memmap)
    assert levels(loaded.train) == [int(item.name.partition(".")[0]) for item in loaded.train.samples]
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path):
    told: list[str] = []
    load(Parts([sample(level) for level in range(512)]), tmp_path, told.append)

    assert told == ["reading pictures: 50 %", "reading pictures: 100 %"]


def test_bytes_that_are_in_the_training_part_and_beside_it_are_leaks_whatever_their_names(tmp_path):
    training = [sample(level) for level in range(4)]
    parts = Parts(training, [sample(6), sample(8, png(2))], [sample(7), sample(9, png(1))])

    loaded = load(parts, tmp_path)

    assert loaded.leaked == ["8.png", "9.png"]


def test_copies_never_leak_where_the_split_is_by_content(tmp_path):
    loaded = load(Parts([sample(level, png(level % 20)) for level in range(100)]), tmp_path)

    assert loaded.leaked == []


def test_a_copy_in_another_group_is_a_leak(tmp_path):
    samples = [sample(level, png(0), f"patient {level}") for level in range(20)]

    loaded = load(Parts(samples), tmp_path)

    assert len(loaded.leaked) == len(loaded.validation)


def test_a_class_that_is_not_in_the_training_part_is_told_with_its_pictures(tmp_path):
    parts = Parts([sample(0), sample(1)], [sample(2), Sample("rare/5.png", "rare", lambda: png(5))])
    pictures = load_pictures(
        parts, Data(uri="file:///d"), PREPROCESSING, tmp_path, str, partial(Labels, [*CLASSES, "rare"])
    )

    with pytest.raises(RunError, match=r"rare \(only rare/5\.png\).*splitSeed") as caught:
        check_classes(pictures, [*CLASSES, "rare"])

    assert caught.value.exit_code == ExitCode.USER_ERROR


def test_a_class_of_one_picture_that_is_trained_on_is_said_not_to_be_measured(tmp_path):
    pictures = load(Parts([sample(0), sample(1)], [sample(2)]), tmp_path)

    told = check_classes(pictures, CLASSES)

    assert told == "1 classes have no picture that is not trained on, so they are not measured: odd (1 to train on)"


def test_a_class_that_only_the_spec_names_is_the_user_s_choice(tmp_path):
    pictures = load(Parts([sample(0), sample(1)], [sample(2), sample(3)]), tmp_path)

    assert check_classes(pictures, [*CLASSES, "not yet"]) == ""
