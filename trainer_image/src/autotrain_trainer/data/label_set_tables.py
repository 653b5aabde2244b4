"""Sets of labels in a table: a column that lists them, or a column of 0 and 1 for each class."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, class_order, picture_in, read_table, tables_of
from autotrain_trainer.data.samples import Parts, Sample

DELIMITER = " "
LABEL_COLUMNS = ("labels", "label")
"""Looked for where the spec names none; a table with neither has a column for each class."""
MARKS = {"1": True, "1.0": True, "0": False, "0.0": False, "": False}

Row = dict[str, str]
Read = Callable[[Row, str], set[str]]
"""The labels in a row; the second argument says where it stands."""


@dataclass(frozen=True)
class SetSample(Sample):
    """`label` is for people: the labels in one text."""

    labels: frozenset[str] = frozenset()


def set_sample(name: str, labels: object, read: Callable[[], bytes]) -> SetSample:
    """A picture that an own function found, with one label or several."""
    several = isinstance(labels, Iterable) and not isinstance(labels, str)
    found = frozenset(str(label) for label in (labels if several else [labels]))  # type: ignore[attr-defined]
    return SetSample(name, ", ".join(sorted(found)), read, labels=found)


def labels_in(parts: Parts) -> set[str]:
    """Every label that occurs."""
    samples = [*parts.train, *parts.validation, *parts.test]
    return {label for sample in samples if isinstance(sample, SetSample) for label in sample.labels}


def label_set_tables(root: Path, data: Data) -> tuple[Parts, list[str]]:
    """train.csv and the like -> samples, and the classes in the order of the outputs. Raises RunError.

    Rows of the same picture are one sample with the labels of all of them; a picture without labels is one too.
    """
    known: set[str] = set()
    train, validation, test = (_samples(path, root, data, known) if path else [] for path in tables_of(root, data))
    if not train:
        raise failure(Reason.DATA_EMPTY, "the table of the training part has no rows")
    return Parts(train, validation, test), class_order(known, data)


def _samples(path: Path, root: Path, data: Data, known: set[str]) -> list[Sample]:
    """The samples of one table; their classes are added to `known`."""
    columns, rows = read_table(path)
    image, group = data.image_column or "image", data.group_column
    for column in filter(None, (image, group, data.label_column)):
        if column not in columns:
            raise failure(
                Reason.DATA_LAYOUT_INVALID,
                f"{path.name} has no column {column!r}; columns found: {', '.join(columns) or 'none'}",
            )
    read = _reader(path, columns, data, known)
    found: dict[Path, tuple[Row, set[str]]] = {}
    missing = []
    for number, row in enumerate(rows, start=2):
        file = picture_in((path.parent, root), row[image] or "", root)
        if file is None:
            missing.append(f"line {number}: {row[image]!r}")
        else:
            _, labels = found.setdefault(file, (row, set()))
            labels |= read(row, f"{path.name}, line {number}")
    if missing:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{path.name} names {len(missing)} pictures that are not in the data: {'; '.join(missing[:SHOWN])}",
        )
    known |= {label for _, labels in found.values() for label in labels}
    return [
        SetSample(
            row[image], ", ".join(sorted(labels)), file.read_bytes, row[group] if group else None, frozenset(labels)
        )
        for file, (row, labels) in found.items()
    ]


def _reader(path: Path, columns: Sequence[str], data: Data, known: set[str]) -> Read:
    """How this table tells labels. Raises RunError."""
    column = data.label_column or next((name for name in LABEL_COLUMNS if name in columns), None)
    if column is not None:
        return lambda row, where: set(_split(row[column] or "", data.label_delimiter or DELIMITER))
    others = [name for name in columns if name not in (data.image_column or "image", data.group_column)]
    classes = [name for name in others if not data.classes or name in data.classes]
    if not classes:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{path.name} has neither a column of labels nor columns of classes; columns found: {', '.join(columns)}",
        )
    known |= set(classes)
    return lambda row, where: {name for name in classes if _marked(row[name], name, where)}


def _split(text: str, delimiter: str) -> Iterator[str]:
    return filter(None, (part.strip() for part in text.split(delimiter)))


def _marked(value: str | None, column: str, where: str) -> bool:
    """Raises RunError."""
    mark = MARKS.get((value or "").strip())
    if mark is None:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{where}: column {column!r} is {value!r}; the column of a class holds 0 or 1. If the labels stand in one "
            "column, name it in spec.data.labelColumn; columns that are no classes are left out with spec.data.classes",
        )
    return mark
