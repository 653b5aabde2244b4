"""A folder becomes samples, by `spec.data.layout`. Each reader returns Parts and raises RunError; nothing is decoded here."""

import gzip
import io
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from PIL import Image

from autotrain_api.names import Reason
from autotrain_api.trainingjob import LAYOUTS, Data
from autotrain_trainer.data.fetch import CHUNK, failure
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.data.tables import column, group_column, group_of, pictures, read_table
from autotrain_trainer.failures import printable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
TRAIN_NAMES = ("train", "training")
VALIDATION_NAMES = ("validation", "valid", "val")
TEST_NAMES = ("test", "testing")
PART_NAMES = frozenset({*TRAIN_NAMES, *VALIDATION_NAMES, *TEST_NAMES})
SURE_NAMES = frozenset({"train", *VALIDATION_NAMES})
"""Written so, they are parts whatever lies in them."""
SHOWN = 5
"""How many names a message lists."""
IDX_UBYTE = 0x08


def read_parts(folder: Path, data: Data) -> Parts:
    """The samples below `folder`, one label each, in the parts that it has. Raises RunError."""
    layout = data.layout or LAYOUTS["Classification"][0]
    return READERS[layout](descend(folder, data), data)


def classes_of(samples: Iterable[Sample], data: Data) -> list[str]:
    """The classes in the order of the model's outputs: the spec's, else sorted naturally. Raises RunError."""
    return class_order({sample.label for sample in samples}, data)


def class_order(names: set[str], data: Data) -> list[str]:
    """The same of the names that the data has. Raises RunError."""
    found = sorted(sorted(names), key=natural)
    if unreadable := [name for name in found if name != printable(name)]:
        raise failure(
            Reason.DATA_LAYOUT_INVALID, f"class names must be UTF-8; rename the folders {', '.join(unreadable[:SHOWN])}"
        )
    if data.classes:
        if unknown := [name for name in found if name not in data.classes]:
            raise failure(
                Reason.DATA_LAYOUT_INVALID,
                f"the data has classes that spec.data.classes does not list: {', '.join(unknown[:SHOWN])}",
            )
        return list(data.classes)
    if len(found) < 2:
        raise failure(Reason.DATA_ONE_CLASS, f"the data has one class only: {found[0] if found else 'none'}")
    return found


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which "2" comes before "10"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def descend(folder: Path, data: Data) -> Path:
    """Into the one folder that many archives wrap everything in, unless it is a part itself."""
    if any((folder / name).exists() for name in (data.train, data.validation, data.test) if name):
        return folder
    inside = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(inside) == 1 and inside[0].is_dir() and inside[0].name not in SURE_NAMES:
        below = [path for path in inside[0].iterdir() if path.is_dir() or path.suffix.lower() not in SUFFIXES]
        return descend(inside[0], data) if below else folder
    return folder


def part_of(root: Path, name: str, what: str, file: bool = False) -> Path:
    """The folder (or file) that the spec names, inside of the data. Raises RunError."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise failure(Reason.DATA_LAYOUT_INVALID, f"spec.data.{what}: {name!r} lies outside of the data")
    if not path.exists():
        found = ", ".join(sorted(child.name for child in root.iterdir())[:SHOWN]) or "nothing"
        raise failure(Reason.DATA_LAYOUT_INVALID, f"spec.data.{what}: there is no {name!r} in the data; found: {found}")
    if path.is_file() != file:
        kind = "file" if file else "folder"
        raise failure(Reason.DATA_LAYOUT_INVALID, f"spec.data.{what}: {name!r} is not a {kind}")
    return path


# --- ImageFolder: a folder per class


def image_folder(root: Path, data: Data) -> Parts:
    """train/<class>/*.jpg, validation/<class>/*.jpg; without a train folder the root itself holds the classes."""
    train = part_of(root, data.train, "train") if data.train else _part_called(root, TRAIN_NAMES) or root
    named = part_of(root, data.validation, "validation") if data.validation else None
    validation = named or _part_called(root, VALIDATION_NAMES)
    test = part_of(root, data.test, "test") if data.test else None
    others = {path.resolve() for path in (validation, test, _part_called(root, TEST_NAMES)) if path is not None}
    parts = Parts(
        _class_folders(train, root, others),
        _class_folders(validation, root, set()) if validation else [],
        _class_folders(test, root, set()) if test else [],
    )
    if not parts.train:
        raise failure(
            Reason.DATA_EMPTY,
            f"no pictures in class folders below {train.relative_to(root.parent)}/ (layout ImageFolder)",
        )
    return parts


def _part_called(root: Path, names: Sequence[str]) -> Path | None:
    """The folder called so, in whatever case; among classes, one without folders in it is a class itself."""
    folders = sorted(filter(_is_class, root.iterdir()), reverse=True)  # small letters come first
    parts_only = all(folder.name.lower() in PART_NAMES for folder in folders)
    called = (folder for name in names for folder in folders if folder.name.lower() == name)
    return next(
        (each for each in called if each.name in SURE_NAMES or parts_only or any(map(_is_class, each.iterdir()))), None
    )


def _class_folders(part: Path, root: Path, others: set[Path]) -> list[Sample]:
    folders = [path for path in sorted(part.iterdir()) if _is_class(path) and path.resolve() not in others]
    return [
        Sample(printable(file.relative_to(root).as_posix()), folder.name, file.read_bytes)
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and not hidden(file.relative_to(folder)) and file.is_file()
    ]


def _is_class(path: Path) -> bool:
    return path.is_dir() and not hidden(Path(path.name))


def hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


# --- Csv: a table of pictures and labels


def table(root: Path, data: Data) -> Parts:
    """train.csv with the columns image and label; paths are relative to the table or to the data."""
    train, validation, test = tables_of(root, data)
    parts = Parts(
        _rows(train, root, data),
        _rows(validation, root, data) if validation else [],
        _rows(test, root, data) if test else [],
    )
    if not parts.train:
        raise failure(Reason.DATA_EMPTY, f"{train.name} has no rows")
    return parts


def tables_of(root: Path, data: Data) -> tuple[Path, Path | None, Path | None]:
    """The tables of the training, validation and test part. Raises RunError."""
    train = part_of(root, data.train, "train", file=True) if data.train else _only_table(root)
    validation = part_of(root, data.validation, "validation", file=True) if data.validation else None
    if validation is None and not data.train:
        candidates = (root / f"{name}.csv" for name in VALIDATION_NAMES)
        validation = next((path for path in candidates if path.is_file() and path != train), None)
    return train, validation, part_of(root, data.test, "test", file=True) if data.test else None


def _only_table(root: Path) -> Path:
    tables = sorted(root.glob("*.csv"))
    if (root / "train.csv") in tables:
        return root / "train.csv"
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables[:SHOWN]) or "none"
        raise failure(Reason.DATA_LAYOUT_INVALID, f"name the table in spec.data.train; tables found: {found}")
    return tables[0]


def _rows(path: Path, root: Path, data: Data) -> list[Sample]:
    found = read_table(path)
    image = column(found, data.image_column, ("image",), "imageColumn")
    label = column(found, data.label_column, ("label",), "labelColumn")
    group = group_column(found, data)
    samples = []
    known: dict[Path, str] = {}
    for row, file in zip(found.rows, pictures(found, image, root), strict=True):
        name, given = row.cells[image], row.cells[label]
        if not given:
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{row.place}: the label is empty")
        if (first := known.setdefault(file, given)) != given:
            raise failure(
                Reason.DATA_LAYOUT_INVALID,
                f"{row.place}: {name!r} is labelled {given!r} here and {first!r} before; "
                "pictures with several labels are for the task MultiLabelClassification",
            )
        samples.append(Sample(name, given, file.read_bytes, group_of(row, group)))
    return samples


# --- Idx: the files of MNIST (http://yann.lecun.com/exdb/mnist)


def idx(root: Path, data: Data) -> Parts:
    """<prefix>-images-idx3-ubyte and <prefix>-labels-idx1-ubyte, also .gz; the prefix of training is `train`."""
    return Parts(
        _idx_samples(root, data.train or "train"),
        _idx_samples(root, data.validation) if data.validation else [],
        _idx_samples(root, data.test) if data.test else [],
    )


def _idx_samples(root: Path, prefix: str) -> list[Sample]:
    images, labels = _idx_array(root, prefix, "images", 3), _idx_array(root, prefix, "labels", 1)
    if len(images) != len(labels):
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{prefix}: {len(images)} images but {len(labels)} labels")
    if not len(images):
        raise failure(Reason.DATA_EMPTY, f"{prefix}: no images")
    return [Sample(f"{prefix}[{i}]", str(labels[i]), _png(images[i])) for i in range(len(images))]


def _png(pixels: np.ndarray) -> Callable[[], bytes]:
    def encode() -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()

    return encode


def _idx_array(root: Path, prefix: str, what: str, dimensions: int) -> np.ndarray:
    names = [f"{prefix}-{what}{dot}idx{dimensions}-ubyte{suffix}" for dot in "-." for suffix in ("", ".gz")]
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        found = ", ".join(sorted(child.name for child in root.iterdir())[:SHOWN]) or "nothing"
        raise failure(Reason.DATA_LAYOUT_INVALID, f"there is no {names[0]} (or .gz) in the data; found: {found}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return read_idx(cast(BinaryIO, file), dimensions)
    except (struct.error, ValueError, OSError, EOFError, zlib.error) as error:
        raise failure(
            Reason.DATA_LAYOUT_INVALID, f"{path.name} is not an idx{dimensions}-ubyte file: {error}"
        ) from error


def read_idx(file: BinaryIO, dimensions: int) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, no more of it than its header says. Raises ValueError or struct.error."""
    magic, *shape = struct.unpack(f">{1 + dimensions}I", file.read(4 * (1 + dimensions)))
    if magic != IDX_UBYTE << 8 | dimensions:
        raise ValueError(f"magic number {magic:#x}")
    if 0 in shape[1:]:
        raise ValueError(f"images of {' x '.join(map(str, shape[1:]))} pixels")
    size, content = math.prod(shape), bytearray()
    while len(content) <= size and (chunk := file.read(CHUNK)):
        content += chunk
    if len(content) != size:
        found = "more" if len(content) > size else len(content)
        raise ValueError(f"the header tells of {' x '.join(map(str, shape))} bytes, there are {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)


READERS: dict[str, Callable[[Path, Data], Parts]] = {"ImageFolder": image_folder, "Csv": table, "Idx": idx}
