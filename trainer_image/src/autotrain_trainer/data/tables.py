"""A CSV file becomes columns, rows that know their place, and the picture file of each row."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TextIO

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.fetch import failure

DELIMITERS = ",;\t"
SHOWN = 5
"""How many pictures a message lists."""
RELATIVE = "paths are relative to the table or to the data"


class Row(NamedTuple):
    place: str
    """For messages: the file, and the line."""
    line: int
    cells: dict[str, str]
    """By column, without the spaces around them."""


class Table(NamedTuple):
    path: Path
    columns: list[str]
    rows: list[Row]


def read_table(path: Path) -> Table:
    """Rows in which nothing is written are left out. Raises RunError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(_lines(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{path.name} is not a table in UTF-8: {error}") from error
    columns = lines[0][1] if lines else []
    if len(set(columns)) != len(columns):
        raise failure(
            Reason.DATA_LAYOUT_INVALID, f"{path.name} names a column twice; columns found: {', '.join(columns)}"
        )
    return Table(path, columns, [_row(path, line, columns, cells) for line, cells in lines[1:]])


def _lines(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Where each row begins, and its cells up to the last one that is not empty."""
    reader, line = csv.reader(file, delimiter=_delimiter(file)), 1
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        while stripped and not stripped[-1]:
            stripped.pop()
        if stripped:
            yield line, stripped
        line = reader.line_num + 1


def _delimiter(file: TextIO) -> str:
    """What divides the first line that says something; what the cells below it hold does not count."""
    head = next((line for line in file if line.strip()), "")
    file.seek(0)
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([head], delimiter=delimiter), [])))


def _row(path: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    """Cells that the end of a row leaves out are empty. Raises RunError."""
    place = f"{path.name}, line {line}"
    if len(cells) > len(columns):
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{place} has more than the {len(columns)} cells of the first line; quote cells with the delimiter in them",
        )
    return Row(place, line, dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False)))


# --- its columns


def column(table: Table, named: str | None, usual: Sequence[str], field: str = "") -> str:
    """The column that the spec names in `field`, or the first usual one that is there. Raises RunError."""
    wanted = (named,) if named else usual
    if found := column_called(table, wanted):
        return found
    hint = f"; spec.data.{field} says which it is" if field else ""
    raise failure(
        Reason.DATA_LAYOUT_INVALID,
        f"{table.path.name} has no column {' or '.join(map(repr, wanted))}; "
        f"columns found: {', '.join(table.columns) or 'none'}{hint}",
    )


def group_column(table: Table, data: Data) -> str | None:
    """The one whose rows stay together, if the spec names any. Raises RunError."""
    return column(table, data.group_column, (), "groupColumn") if data.group_column else None


def group_of(row: Row, group: str | None) -> str | None:
    """An empty cell is no group: its picture is split alone."""
    return row.cells[group] or None if group else None


def column_called(table: Table, names: Sequence[str]) -> str | None:
    """The first of the names that is there, as it is written or else in other capitals."""
    known = {name.lower(): name for name in reversed(table.columns)} | {name: name for name in table.columns}
    keys = (key for name in names for key in (name.strip(), name.strip().lower()))
    return next((known[key] for key in keys if key in known), None)


# --- its pictures


class Meant(NamedTuple):
    """What a path stands for."""

    file: Path | None
    by_end: bool
    """Whether its first folders were left out."""


def pictures(table: Table, image: str, root: Path) -> list[Path]:
    """The file of each row, by the column `image`. Raises RunError when it is not there, or shared by chance."""
    lines: dict[str, int] = {}
    for row in table.rows:
        lines.setdefault(row.cells[image], row.line)
    meant = {name: _meant(name, (table.path.parent, root), root) for name in lines}
    files = {name: found.file for name, found in meant.items() if found.file is not None}
    _refuse_missing(table.path, {name: line for name, line in lines.items() if name not in files})
    guessed = {found.file for found in meant.values() if found.by_end}
    _refuse_shared(table.path, root, {name: file for name, file in files.items() if file in guessed}, lines)
    return [files[row.cells[image]] for row in table.rows]


def _meant(name: str, bases: Sequence[Path], root: Path) -> Meant:
    """As written, with the other slashes, and for paths of another machine ever shorter ends."""
    written = _first_in(bases, (name, _slashed(name)), root)
    return Meant(written, False) if written else Meant(_first_in(bases, _ends(name), root), True)


def _ends(name: str) -> Iterator[str]:
    """`b/c.jpg` and `c.jpg` of `/a/b/c.jpg`: what it may have in common with the data."""
    parts = [part for part in _slashed(name).split("/") if part]
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _slashed(name: str) -> str:
    return name.replace("\\", "/")


def _first_in(bases: Sequence[Path], names: Iterable[str], root: Path) -> Path | None:
    return next(filter(None, (picture_in(bases, name, root) for name in names)), None)


def picture_in(bases: Iterable[Path], name: str, root: Path) -> Path | None:
    """The file called `name` in the first of the folders that has it, inside of the data."""
    inside = root.resolve()
    for base in bases:
        try:
            path = (base / name).resolve()
            if name and path.is_relative_to(inside) and path.is_file():
                return path
        except (OSError, ValueError):  # no name of a file: too long, or with a null byte
            continue
    return None


def _refuse_missing(path: Path, missing: Mapping[str, int]) -> None:
    """Raises RunError when there are any; names and their lines."""
    if missing:
        listed = [f"line {line}: {name!r}" for name, line in missing.items()]
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{path.name} names {len(listed)} pictures that are not in the data: {'; '.join(listed[:SHOWN])}; "
            f"{RELATIVE}",
        )


def _refuse_shared(path: Path, root: Path, files: Mapping[str, Path], lines: Mapping[str, int]) -> None:
    """Raises RunError for different paths of which only one file is there."""
    first: dict[Path, str] = {}
    for name, file in files.items():
        other = first.setdefault(file, name)
        if PurePosixPath(_slashed(name)) != PurePosixPath(_slashed(other)):
            raise failure(
                Reason.DATA_LAYOUT_INVALID,
                f"{path.name} names {other!r} and {name!r}, and only {file.relative_to(root.resolve()).as_posix()} "
                f"is there for both (lines {lines[other]} and {lines[name]}); {RELATIVE}",
            )
