"""Tables with sets of labels: a column that lists them, or a column for each class."""

from pathlib import Path

import pytest

from autotrain_api.names import ExitCode, Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.label_set_tables import label_set_tables
from autotrain_trainer.failures import RunError


def table(root: Path, text: str, name: str = "train.csv") -> Path:
    for number in range(1, 5):
        (root / f"{number}.jpg").write_bytes(b"picture")
    (root / name).write_text(text, encoding="utf-8")
    return root


def read(root: Path, **fields: object) -> tuple[list[tuple[str, set[str]]], list[str]]:
    parts, classes = label_set_tables(root, Data(uri="file:///data", **fields))
    return [(sample.name, set(sample.labels)) for sample in parts.train], classes


def refused(root: Path, **fields: object) -> RunError:
    with pytest.raises(RunError) as caught:
        read(root, **fields)
    assert caught.value.exit_code == ExitCode.USER_ERROR
    return caught.value


@pytest.mark.parametrize("column", ["labels", "label"])
def test_a_column_lists_labels_and_a_picture_may_have_none(tmp_path, column):
    samples, classes = read(table(tmp_path, f"image,{column}\n1.jpg,sky  sea sky\n2.jpg,\n3.jpg,sea\n"))

    assert samples == [("1.jpg", {"sky", "sea"}), ("2.jpg", set()), ("3.jpg", {"sea"})]
    assert classes == ["sea", "sky"]


def test_the_delimiter_is_the_spec_s_and_labels_may_have_blanks(tmp_path):
    samples, _ = read(table(tmp_path, "image,tags\n1.jpg,blue sky| sea|\n"), labelColumn="tags", labelDelimiter="|")

    assert samples == [("1.jpg", {"blue sky", "sea"})]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("image;labels\n1.jpg;sky sea\n\n2.jpg;sea\n", {}),
        ("Image\tLABELS\n1.jpg\tsky sea\n2.jpg\tsea\n", {}),
        ("Image,Tags\n1.jpg,sky;sea\n2.jpg,sea;\n", {"labelColumn": "tags", "labelDelimiter": ";"}),
        ("IMAGE;sky;sea\n1.jpg;1;1\n2.jpg;0;1\n", {}),
    ],
)
def test_the_first_line_tells_what_divides_cells_and_its_names_have_any_capitals(tmp_path, text, fields):
    samples, classes = read(table(tmp_path, text), **fields)

    assert samples == [("1.jpg", {"sky", "sea"}), ("2.jpg", {"sea"})]
    assert classes == ["sea", "sky"]


@pytest.mark.parametrize("cell", ["cat,dog", "cat, dog", "cat|dog", "cat;dog", "['cat', 'dog']", "[cat dog]"])
def test_another_delimiter_than_a_space_has_to_be_named(tmp_path, cell):
    error = refused(table(tmp_path, f'image,labels\n1.jpg,sky\n2.jpg,"{cell}"\n'))

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert f"train.csv, line 3: {cell!r} divides labels" in str(error)
    assert "set spec.data.labelDelimiter" in str(error)


@pytest.mark.parametrize("fields", [{"labelDelimiter": " "}, {"classes": ["a,b", "c"]}])
def test_a_name_may_have_signs_in_it_that_are_no_delimiters(tmp_path, fields):
    samples, classes = read(table(tmp_path, 'image,labels\n1.jpg,"a,b c"\n'), **fields)

    assert (samples, classes) == ([("1.jpg", {"a,b", "c"})], ["a,b", "c"])


def test_a_path_of_another_machine_is_found_by_its_end(tmp_path):
    samples, _ = read(table(tmp_path, "image,label\nC:\\me\\1.jpg ,sky\n/home/me/2.jpg,sea\n"))

    assert samples == [("C:\\me\\1.jpg", {"sky"}), ("/home/me/2.jpg", {"sea"})]


def test_a_column_for_each_class_holds_0_and_1(tmp_path):
    text = "image,who,10,9,rare\n1.jpg,anna,1,0,0\n2.jpg,ben,0.0,1.0,\n3.jpg,ben,0,0,0\n"

    samples, classes = read(table(tmp_path, text), groupColumn="who")

    assert samples == [("1.jpg", {"10"}), ("2.jpg", {"9"}), ("3.jpg", set())]
    assert classes == ["9", "10", "rare"]


def test_the_spec_s_classes_say_which_columns_count_and_their_order(tmp_path):
    text = "image,age,sky,sea\n1.jpg,44,1,0\n2.jpg,7,0,1\n"

    samples, classes = read(table(tmp_path, text), classes=["sky", "sea"])

    assert samples == [("1.jpg", {"sky"}), ("2.jpg", {"sea"})]
    assert classes == ["sky", "sea"]


def test_rows_of_the_same_picture_are_one_picture_with_the_labels_of_all(tmp_path):
    samples, _ = read(table(tmp_path, "image,label\n1.jpg,sky\n2.jpg,sea\n./1.jpg,boat\n"))

    assert samples == [("1.jpg", {"sky", "boat"}), ("2.jpg", {"sea"})]


def test_tables_of_the_other_parts_add_their_classes(tmp_path):
    table(tmp_path, "image,label\n3.jpg,boat\n", "validation.csv")
    parts, classes = label_set_tables(table(tmp_path, "image,label\n1.jpg,sky sea\n"), Data(uri="file:///data"))

    assert [sample.label for sample in (*parts.train, *parts.validation)] == ["sea, sky", "boat"]
    assert classes == ["boat", "sea", "sky"]


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        (
            "image,sky,age\n1.jpg,1,44\n",
            {},
            "train.csv, line 2: column 'age' is '44'; the column of a class holds 0 or 1",
        ),
        ("image,sky,sky\n1.jpg,1,1\n", {}, "names a column twice"),
        ("image\n1.jpg\n", {}, "neither a column of labels nor columns of classes; columns found: image"),
        ("picture,label\n1.jpg,a\n", {}, "no column 'image'; columns found: picture, label"),
        ("image,label\n1.jpg,a b\n", {"labelColumn": "tags"}, "no column 'tags'"),
        ("image,label\n1.jpg,a b\n", {"classes": ["a", "c"]}, "does not list: b"),
        ("image,label\n9.jpg,a b\n", {}, "line 2: '9.jpg'"),
        ("image;sky\n\n\n1.jpg;yes\n", {}, "train.csv, line 4: column 'sky' is 'yes'"),
        ("image,label\n1.jpg,a;b\n", {}, "line 2: 'a;b' divides labels by another sign"),
        ("image,label\n1.jpg,a\n", {}, "one class only: a"),
        ("image,label\n1.jpg,\n", {}, "one class only: none"),
        ("image,label\n", {}, "has no rows"),
    ],
)
def test_an_error_in_a_table_is_told(tmp_path, text, fields, words):
    assert words in str(refused(table(tmp_path, text), **fields))


def test_a_mark_that_is_none_says_what_to_do(tmp_path):
    error = refused(table(tmp_path, "image,sky,sea\n1.jpg,-1,0\n"))

    assert error.reason == Reason.DATA_LAYOUT_INVALID
    assert "spec.data.labelColumn" in str(error)
    assert "spec.data.classes" in str(error)
