"""Boxes in a table: a row for each box, with the picture's path, four corners and a label."""

from pathlib import Path
from typing import NamedTuple

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import BoxSample, MarkedBox, box_sample
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import tables_of
from autotrain_trainer.data.samples import Parts
from autotrain_trainer.data.tables import Row, Table, column, group_column, group_of, pictures, read_table

IMAGE_COLUMNS = ("image", "image_path", "filename", "path")
LABEL_COLUMNS = ("label", "class", "name")
CORNERS = (("xmin", "x1"), ("ymin", "y1"), ("xmax", "x2"), ("ymax", "y2"))


class Columns(NamedTuple):
    """What they are called in this table."""

    image: str
    label: str
    corners: list[str]
    group: str | None


def box_table(root: Path, data: Data) -> Parts:
    """train.csv with image, xmin, ymin, xmax, ymax, label; a row with a picture alone is a picture without boxes."""
    train, validation, test = tables_of(root, data)
    parts = Parts(
        _samples(train, root, data),
        _samples(validation, root, data) if validation else [],
        _samples(test, root, data) if test else [],
    )
    if not parts.train:
        raise failure(Reason.DATA_EMPTY, f"{train.name} has no rows")
    return parts


def _samples(path: Path, root: Path, data: Data) -> list[BoxSample]:
    table = read_table(path)
    columns = _columns(table, data)
    boxes: dict[Path, list[MarkedBox]] = {}
    groups: dict[Path, str | None] = {}
    called: dict[Path, str] = {}
    for row, file in zip(table.rows, pictures(table, columns.image, root), strict=True):
        called.setdefault(file, row.cells[columns.image])
        found = boxes.setdefault(file, [])
        groups[file] = group_of(row, columns.group)
        if box := _box(row, columns):
            found.append(box)
    return [box_sample(called[file], file.read_bytes, found, groups[file]) for file, found in boxes.items()]


def _columns(table: Table, data: Data) -> Columns:
    """Raises RunError."""
    return Columns(
        column(table, data.image_column, IMAGE_COLUMNS, "imageColumn"),
        column(table, data.label_column, LABEL_COLUMNS, "labelColumn"),
        [column(table, None, usual) for usual in CORNERS],
        group_column(table, data),
    )


def _box(row: Row, columns: Columns) -> MarkedBox | None:
    """None for a row that has neither corners nor label. Raises RunError."""
    texts, name = [row.cells[corner] for corner in columns.corners], row.cells[columns.label]
    if not any(texts) and not name:
        return None
    if not name:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{row.place}: the label is empty")
    values = []
    for corner, text in zip(columns.corners, texts, strict=True):
        try:
            values.append(float(text))
        except ValueError as error:
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{row.place}: {corner} is {text!r}, not a number") from error
    return MarkedBox((values[0], values[1], values[2], values[3]), name, row.place)
