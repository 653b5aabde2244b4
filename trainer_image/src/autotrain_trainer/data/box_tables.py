"""Boxes in a table: a row for each box, with the picture's path, four corners and a label."""

from collections.abc import Sequence
from pathlib import Path

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import BoxSample, MarkedBox, box_sample, refuse_missing
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import picture_in, read_table, tables_of
from autotrain_trainer.data.samples import Parts

IMAGE_COLUMNS = ("image", "image_path", "filename", "path")
LABEL_COLUMNS = ("label", "class", "name")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


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
    columns, rows = read_table(path)
    image = _column(path, columns, data.image_column, IMAGE_COLUMNS, "imageColumn")
    label = _column(path, columns, data.label_column, LABEL_COLUMNS, "labelColumn")
    for name in (*CORNERS, *([data.group_column] if data.group_column else [])):
        _column(path, columns, name, (), "")
    boxes: dict[str, list[MarkedBox]] = {}
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        found = boxes.setdefault((row[image] or "").strip(), [])
        if data.group_column:
            groups[(row[image] or "").strip()] = row[data.group_column] or ""
        if box := _box(row, label, f"{path.name}, line {number}"):
            found.append(box)
    files = {name: picture_in((path.parent, root), name, root) for name in boxes}
    refuse_missing(path.name, [repr(name) for name, file in files.items() if file is None])
    return [
        box_sample(name, file.read_bytes, boxes[name], groups.get(name))
        for name, file in files.items()
        if file is not None
    ]


def _column(path: Path, columns: Sequence[str], named: str | None, usual: Sequence[str], field: str) -> str:
    """The column that the spec names, or the first usual one that is there. Raises RunError."""
    wanted = (named,) if named else usual
    if found := next((name for name in wanted if name in columns), None):
        return found
    hint = f" (spec.data.{field})" if field else ""
    raise failure(
        Reason.DATA_LAYOUT_INVALID,
        f"{path.name} has no column {' or '.join(map(repr, wanted))}{hint}; columns found: {', '.join(columns) or 'none'}",
    )


def _box(row: dict[str, str], label: str, place: str) -> MarkedBox | None:
    """None for a row that has neither corners nor label. Raises RunError."""
    texts, name = [(row[corner] or "").strip() for corner in CORNERS], (row[label] or "").strip()
    if not any(texts) and not name:
        return None
    if not name:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{place}: the label is empty")
    values = []
    for corner, text in zip(CORNERS, texts, strict=True):
        try:
            values.append(float(text))
        except ValueError as error:
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{place}: {corner} is {text!r}, not a number") from error
    return MarkedBox((values[0], values[1], values[2], values[3]), name, place)
