import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrain_api.names import ExitCode, Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.layouts import classes_of, read_parts
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.failures import RunError


def data(**fields) -> Data:
    return Data(uri="file:///data", **fields)


def put(root: Path, *names: str, content: bytes = b"picture") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def names(samples: list[Sample]) -> list[tuple[str, str]]:
    return [(sample.name, sample.label) for sample in samples]


def refused(root: Path, **fields) -> RunError:
    with pytest.raises(RunError) as caught:
        classes_of(all_of(read_parts(root, data(**fields))), data(**fields))
    assert caught.value.exit_code == ExitCode.USER_ERROR
    return caught.value


def all_of(parts: Parts) -> list[Sample]:
    return [*parts.train, *parts.validation, *parts.test]


# --- ImageFolder


def test_class_folders_at_the_root_are_one_part(tmp_path):
    parts = read_parts(put(tmp_path, "cat/1.jpg", "dog/deep/2.PNG", "dog/notes.txt", ".hidden/3.jpg"), data())

    assert names(parts.train) == [("cat/1.jpg", "cat"), ("dog/deep/2.PNG", "dog")]
    assert parts.validation == parts.test == []


@pytest.mark.parametrize("validation", ["validation", "valid", "val"])
def test_train_and_validation_folders_are_two_parts(tmp_path, validation):
    parts = read_parts(put(tmp_path, "train/a/1.jpg", f"{validation}/a/2.jpg"), data())

    assert names(parts.train) == [("train/a/1.jpg", "a")]
    assert names(parts.validation) == [(f"{validation}/a/2.jpg", "a")]


@pytest.mark.parametrize(
    ("train", "other", "measured"),
    [
        ("Training", "Testing", 0),
        ("Train", "Test", 0),
        ("training", "testing", 0),
        ("Train", "Val", 1),
        ("TRAIN", "VALID", 1),
        ("train", "Validation", 1),
    ],
)
def test_parts_are_known_in_any_letters_and_are_no_classes(tmp_path, train, other, measured):
    root = put(tmp_path, *[f"{part}/{label}/1.jpg" for part in (train, other) for label in ("cat", "dog")])

    parts = read_parts(root, data())

    assert names(parts.train) == [(f"{train}/cat/1.jpg", "cat"), (f"{train}/dog/1.jpg", "dog")]
    assert len(parts.validation) == 2 * measured


def test_a_class_may_be_called_like_a_part_in_other_letters(tmp_path):
    parts = read_parts(put(tmp_path, "Bus/1.jpg", "Train/2.jpg", "Testing/3.jpg"), data())

    assert classes_of(parts.train, data()) == ["Bus", "Testing", "Train"]


def test_the_spec_s_names_of_parts_are_taken_as_they_are(tmp_path):
    error = refused(put(tmp_path, "Train/a/1.jpg", "Train/b/1.jpg", "Val/a/1.jpg"), validation="val")

    assert "spec.data.validation: there is no 'val' in the data; found: Train, Val" in str(error)


def test_parts_have_the_names_that_the_spec_gives(tmp_path):
    root = put(tmp_path, "learn/a/1.jpg", "check/a/2.jpg", "judge/a/3.jpg")

    parts = read_parts(root, data(train="learn", validation="check", test="judge"))

    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [1, 1, 1]


def test_a_test_folder_beside_class_folders_is_no_class(tmp_path):
    parts = read_parts(put(tmp_path, "a/1.jpg", "b/2.jpg", "held/a/3.jpg"), data(test="held"))

    assert {sample.label for sample in parts.train} == {"a", "b"}
    assert len(parts.test) == 1


def test_a_folder_that_an_archive_wraps_everything_in_is_looked_through(tmp_path):
    parts = read_parts(put(tmp_path, "flowers/v2/a/1.jpg", "flowers/v2/b/2.jpg", "__MACOSX/x"), data())

    assert {sample.label for sample in parts.train} == {"a", "b"}


@pytest.mark.parametrize("files", [[], ["1.jpg", "2.jpg"], ["a/notes.txt"]], ids=["empty", "no folders", "no pictures"])
def test_a_folder_without_pictures_in_class_folders_is_empty(tmp_path, files):
    assert refused(put(tmp_path, *files)).reason == Reason.DATA_EMPTY


def test_one_class_is_too_few(tmp_path):
    error = refused(put(tmp_path, "train/only/1.jpg"))

    assert error.reason == Reason.DATA_ONE_CLASS
    assert "only" in str(error)


@pytest.mark.parametrize("name", ["absent", "../elsewhere", "a/1.jpg"])
def test_a_part_that_is_no_folder_of_the_data_is_told_with_its_field(tmp_path, name):
    error = refused(put(tmp_path, "a/1.jpg", "b/1.jpg"), validation=name)

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert "spec.data.validation" in str(error)


# --- classes


def test_classes_sort_naturally(tmp_path):
    root = put(tmp_path, *[f"{name}/1.jpg" for name in ("10", "9", "a10", "a9", "b")])

    assert classes_of(read_parts(root, data()).train, data()) == ["9", "10", "a9", "a10", "b"]


@given(st.lists(st.text(min_size=1), unique=True, min_size=2, max_size=6), st.randoms())
def test_any_class_names_sort_in_one_way(found, random):
    def order() -> list[str]:
        random.shuffle(found)
        return classes_of([Sample("", name, bytes) for name in found], data())

    assert order() == order()


def test_the_spec_s_order_of_classes_is_kept(tmp_path):
    wanted = data(classes=["b", "a", "c"])

    assert classes_of(read_parts(put(tmp_path, "a/1.jpg", "b/1.jpg"), wanted).train, wanted) == ["b", "a", "c"]


def test_a_class_that_the_spec_does_not_list_is_told(tmp_path):
    error = refused(put(tmp_path, "a/1.jpg", "b/1.jpg"), classes=["a", "c"])

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert str(error).endswith(": b")


# --- Csv


def table(root: Path, text: str, name: str = "train.csv") -> Path:
    put(root, "pictures/1.jpg", "pictures/2.jpg")
    return put(root, name, content=text.encode())


GOOD = "image,label\npictures/1.jpg,a\npictures/2.jpg, b \n"


def test_a_table_names_pictures_and_labels(tmp_path):
    parts = read_parts(table(tmp_path, GOOD), data(layout="Csv"))

    assert names(parts.train) == [("pictures/1.jpg", "a"), ("pictures/2.jpg", "b")]


def test_columns_groups_and_tables_have_the_names_that_the_spec_gives(tmp_path):
    root = table(tmp_path, "file;x,who,what\n1.jpg,anna,a\n", "pictures/t.csv")
    columns = {"imageColumn": "file;x", "labelColumn": "what", "groupColumn": "who"}

    [sample] = read_parts(root, Data(uri="file:///d", layout="Csv", train="pictures/t.csv", **columns)).train

    assert (sample.label, sample.group) == ("a", "anna")


@pytest.mark.parametrize(
    "cell", [r"pictures\1.jpg", "/home/me/data/pictures/1.jpg", r"D:\pictures\1.jpg", " pictures/1.jpg "]
)
def test_a_path_of_another_machine_is_found_by_its_end(tmp_path, cell):
    root = table(tmp_path, f"image,who,label\n{cell}, anna ,a\n")

    [sample] = read_parts(root, data(layout="Csv", groupColumn="who")).train

    assert (sample.read(), sample.group) == (b"picture", "anna")


@pytest.mark.parametrize("first", ["/mnt/cats/1.jpg", "1.jpg"])
def test_an_end_that_two_rows_have_is_no_picture(tmp_path, first):
    error = refused(put(table(tmp_path, f"image,label\n{first},a\n/mnt/dogs/1.jpg,b\n"), "1.jpg"), layout="Csv")

    told = f"names {first!r} and '/mnt/dogs/1.jpg', and only 1.jpg is there for both (lines 2 and 3)"
    assert told in str(error)
    assert "paths are relative to the table or to the data" in str(error)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "columns", ["image,label,who", "Image, LABEL ,Who", '"IMAGE",Label,"wHo"', "image,label,who,,"]
)
def test_columns_have_any_capitals_and_delimiters(tmp_path, columns, delimiter):
    text = f"\n{columns}\n\npictures/1.jpg , a, anna\n,,\npictures/2.jpg,b\n".replace(",", delimiter)

    first, second = read_parts(table(tmp_path, text), data(layout="Csv", groupColumn="who")).train

    assert names([first, second]) == [("pictures/1.jpg", "a"), ("pictures/2.jpg", "b")]
    assert (first.group, second.group) == ("anna", None)


def test_a_column_in_the_spec_s_own_letters_comes_before_one_in_others(tmp_path):
    text = "Image,image,What\n9.jpg,pictures/1.jpg,a\n"

    [sample] = read_parts(table(tmp_path, text), data(layout="Csv", labelColumn="what")).train

    assert names([sample]) == [("pictures/1.jpg", "a")]


def test_tables_for_validation_are_found_by_their_name(tmp_path):
    table(tmp_path, GOOD, "val.csv")

    assert len(read_parts(table(tmp_path, GOOD), data(layout="Csv")).validation) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("picture,label\n1,a\n", "no column 'image'; columns found: picture, label"),
        ("", "no column 'image'; columns found: none"),
        ("image,label\npictures/1.jpg,\n", "line 2: the label is empty"),
        ("image,label\npictures/1.jpg\n", "line 2: the label is empty"),
        ("image,label\npictures/9.jpg,a\n", "line 2: 'pictures/9.jpg'"),
        ("\n\nimage;label\n\n;\npictures/1.jpg;\n", "train.csv, line 6: the label is empty"),
        ('image,label\npictures/1.jpg,"a\na"\n\npictures/9.jpg,"b\nb"\n', "line 5: 'pictures/9.jpg'"),
        ("image;label\npictures/1.jpg;a;b\n", "line 2 has more than the 2 cells of the first line"),
        ("image,label\n../secret.jpg,a\n", "line 2: '../secret.jpg'"),
        ("image,label\n\0.jpg,a\n", "line 2: '\\x00.jpg'"),
        (f"image,label\n{'z' * 5000},a\n", "line 2: 'zzz"),
        ("image,label\n\xff\xfe,a\n", "1 pictures that are not in the data"),
    ],
)
def test_an_error_in_a_table_is_told_with_its_line(tmp_path, text, told):
    error = refused(table(tmp_path, text), layout="Csv")

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert told in str(error)


def test_a_table_that_is_no_text_is_told(tmp_path):
    error = refused(put(tmp_path, "train.csv", content=b"\xff\xfe\x00"), layout="Csv")

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert "UTF-8" in str(error)


def test_no_table_or_two_must_be_named(tmp_path):
    assert "tables found: none" in str(refused(tmp_path, layout="Csv"))
    put(tmp_path, "a.csv", "b.csv", content=GOOD.encode())
    assert "tables found: a.csv, b.csv" in str(refused(tmp_path, layout="Csv"))


def test_a_table_without_rows_is_empty(tmp_path):
    assert refused(table(tmp_path, "image,label\n"), layout="Csv").reason == Reason.DATA_EMPTY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,label,label\n1.jpg,a,b\n", "names a column twice; columns found: image, label, label"),
        ("image,label\n1.jpg,a,b\n", "train.csv, line 2 has more than the 2 cells of the first line"),
        ("image,label\n1.jpg,a\n1.jpg,b\n", "line 3: '1.jpg' is labelled 'b' here and 'a' before"),
        ("image,label\n1.jpg,a\n./1.jpg,b\n", "the task MultiLabelClassification"),
        ("image,label\n1.jpg\n", "train.csv, line 2: the label is empty"),
        ("", "no column 'image'; columns found: none"),
    ],
)
def test_a_broken_table_is_told_with_its_line(tmp_path, text, words):
    put(tmp_path, "1.jpg")

    error = refused(table(tmp_path, text), layout="Csv")

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert words in str(error)


# --- Idx


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x800 | values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


IMAGES, LABELS = idx(np.zeros((3, 4, 5))), idx(np.array([0, 1, 0]))


def mnist(root: Path, images: bytes = IMAGES, labels: bytes = LABELS, prefix: str = "train") -> Path:
    put(root, f"{prefix}-images-idx3-ubyte", content=images)
    return put(root, f"{prefix}-labels-idx1-ubyte", content=labels)


def test_idx_files_hold_pictures_and_labels(tmp_path):
    parts = read_parts(mnist(mnist(tmp_path), prefix="t10k"), data(layout="Idx", test="t10k"))

    assert names(parts.train) == [("train[0]", "0"), ("train[1]", "1"), ("train[2]", "0")]
    assert len(parts.test) == 3
    assert parts.train[0].read().startswith(b"\x89PNG")


def test_idx_files_may_be_compressed_and_named_with_a_dot(tmp_path):
    put(tmp_path, "train-images.idx3-ubyte.gz", content=gzip.compress(IMAGES))
    put(tmp_path, "train-labels-idx1-ubyte", content=LABELS)

    assert len(read_parts(tmp_path, data(layout="Idx")).train) == 3


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (IMAGES[:-1], LABELS, "train-images-idx3-ubyte is not an idx3-ubyte file"),
        (LABELS, LABELS, "train-images-idx3-ubyte is not an idx3-ubyte file"),
        (b"", LABELS, "train-images-idx3-ubyte is not an idx3-ubyte file"),
        (IMAGES + b"x", LABELS, "there are more"),
        (idx(np.zeros((2, 0, 4))), LABELS, "images of 0 x 4 pixels"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3) + b"x", LABELS, "there are 1"),
        (IMAGES, idx(np.array([0, 1])), "3 images but 2 labels"),
        (idx(np.zeros((0, 4, 4))), idx(np.zeros(0)), "no images"),
        (IMAGES, idx(np.zeros(3)), "one class only: 0"),
    ],
)
def test_an_error_in_idx_files_is_told(tmp_path, images, labels, told):
    assert told in str(refused(mnist(tmp_path, images, labels), layout="Idx"))


def test_missing_idx_files_are_told_with_what_is_there(tmp_path):
    error = refused(put(tmp_path, "mnist.npz"), layout="Idx")

    assert "train-images-idx3-ubyte (or .gz)" in str(error)
    assert "mnist.npz" in str(error)


def test_what_lies_in_hidden_folders_is_no_picture(tmp_path):
    root = put(tmp_path, "a/1.png", "a/__MACOSX/1.png", "a/.thumbnails/1.png", "b/2.png", "__MACOSX/a/1.png")

    assert names(read_parts(root, data()).train) == [("a/1.png", "a"), ("b/2.png", "b")]


def test_a_class_whose_name_is_not_utf8_is_told_so_that_it_can_be_read(tmp_path):
    error = refused(put(tmp_path, "caf\udce9/1.png", "tea/2.png"))

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert "caf\\udce9" in str(error)


def test_a_picture_whose_name_is_not_utf8_has_a_name_that_can_be_written(tmp_path):
    [first, _] = read_parts(put(tmp_path, "a/\udce9.png", "b/2.png"), data()).train

    assert first.name == "a/\\udce9.png"
    assert first.read() == b"picture"
