"""Sets of labels in a table: a column that lists them, or a column of 0 and 1 for each class."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import class_order, tables_of
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.data.tables import (
    Row,
    Table,
    column,
    column_called,
    group_column,
    group_of,
    pictures,
    read_table,
)

DELIMITER = " "
OTHER_DELIMITERS = re.compile(r"^\[|[,;|]")
LABEL_COLUMNS = ("labels", "label")
"""Looked for where the spec names none; a table with neither has a column for each class."""
MARKS = {"1": True, "1.0": True, "0": False, "0.0": False, "": False}

Read = Callable[[Row], set[str]]
"""The labels in a row."""


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
    table = read_table(path)
    image = column(table, data.image_column, ("image",), "imageColumn")
    group = group_column(table, data)
    read = _reader(table, data, known, {image, group})
    found: dict[Path, tuple[Row, set[str]]] = {}
    for row, file in zip(table.rows, pictures(table, image, root), strict=True):
        _, labels = found.setdefault(file, (row, set()))
        labels |= read(row)
    known |= {label for _, labels in found.values() for label in labels}
    return [
        SetSample(row.cells[image], ", ".join(sorted(labels)), file.read_bytes, group_of(row, group), frozenset(labels))
        for file, (row, labels) in found.items()
    ]


def _reader(table: Table, data: Data, known: set[str], others: set[str | None]) -> Read:
    """How this table tells labels; `others` are columns that say something else. Raises RunError."""
    if data.label_column or column_called(table, LABEL_COLUMNS):
        label = column(table, data.label_column, LABEL_COLUMNS, "labelColumn")
        return lambda row: _listed(row.cells[label], data, row.place)
    classes = [name for name in table.columns if name not in others and (not data.classes or name in data.classes)]
    if not classes:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{table.path.name} has neither a column of labels nor columns of classes; "
            f"columns found: {', '.join(table.columns)}",
        )
    known |= set(classes)
    return lambda row: {name for name in classes if _marked(row.cells[name], name, row.place)}


def _listed(text: str, data: Data, where: str) -> set[str]:
    """The labels in one cell. Raises RunError when it has a delimiter that the spec does not name."""
    labels = {part.strip() for part in text.split(data.label_delimiter or DELIMITER)} - {""}
    if data.label_delimiter is None and any(map(OTHER_DELIMITERS.search, labels - set(data.classes))):
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{where}: {text!r} divides labels by another sign than a space, it seems; set spec.data.labelDelimiter to "
            "that sign, or to ' ' where it belongs to the names. Of a list in brackets write the names alone",
        )
    return labels


def _marked(value: str, name: str, where: str) -> bool:
    """Raises RunError."""
    mark = MARKS.get(value)
    if mark is None:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{where}: column {name!r} is {value!r}; the column of a class holds 0 or 1. If the labels stand in one "
            "column, name it in spec.data.labelColumn; columns that are no classes are left out with spec.data.classes",
        )
    return mark
