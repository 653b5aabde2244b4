"""What the values of masks mean: positions of classes, by the names of the data, by the spec's, or by what occurs."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autotrain_api.names import Reason
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, natural

IGNORE = 255
"""Nothing is known of such a pixel: it is neither learned nor counted."""
BACKGROUND = "background"
BACKGROUNDS = (BACKGROUND, "_background_")
OBJECT = "object"
"""The class of masks that are only 0 and 255."""
MOST_CLASSES = 255
MOST_COLOURS = 4 * MOST_CLASSES
"""More are not looked for: such masks are refused whatever else they hold."""
NAME_FILES = ("classes.txt", "labelmap.txt", "class_dict.csv", "classes.csv")
Mask = NDArray[np.uint8]
Colour = tuple[int, int, int]


class MaskError(ValueError):
    """A mask that cannot be used, with its file."""


class ClassMap(NamedTuple):
    """How the values of masks become positions of classes."""

    classes: list[str]
    """The first is the background."""
    values: dict[int, int]
    """Grey or palette value -> position of a class, or IGNORE"""
    colours: dict[Colour, int]
    """The same for masks in colour; empty when there are none."""


class Name(NamedTuple):
    label: str
    colour: Colour | None


def read_names(root: Path) -> list[Name]:
    """classes.txt (a name per line), labelmap.txt (name:red,green,blue), class_dict.csv (name,r,g,b); [] without one."""
    path = next((root / name for name in NAME_FILES if (root / name).is_file()), None)
    if path is None:
        return []
    names = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name = _csv_name(line, number) if path.suffix == ".csv" else _text_name(line)
        if name is None and number > 1:
            raise failure(
                Reason.DATA_LAYOUT_INVALID, f"{path.name}, line {number}: {line!r} is not a name with a colour"
            )
        names += [name] if name is not None else []
    if len({name.label for name in names}) != len(names):
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{path.name} has a name twice")
    return names


def _csv_name(line: str, number: int) -> Name | None:
    cells = [cell.strip() for cell in next(csv.reader([line]))]
    numbers = [int(cell) for cell in cells[1:4] if cell.isdigit()]
    if len(numbers) == 3:
        return Name(cells[0], (numbers[0], numbers[1], numbers[2]))
    return Name(cells[0], None) if len(cells) == 1 and number > 1 else None


def _text_name(line: str) -> Name:
    found = re.fullmatch(r"\s*([^:]+):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(:.*)?", line)
    if found is None:
        return Name(line.strip(), None)
    return Name(found[1].strip(), (int(found[2]), int(found[3]), int(found[4])))


def class_map(masks: Sequence[Path], names: Sequence[Name], wanted: Sequence[str], root: Path) -> ClassMap:
    """By the names of the data, by the spec's, or by the values that occur. Raises RunError."""
    used, labels = used_values(masks, root), [name.label for name in names]
    values, colours = used.values, used.painted | used.colours
    if any(name.colour is not None for name in names) and (used.colours or _background_place(labels)):
        return _by_colour(names, colours)
    if used.colours:
        return _found_colours(colours, wanted)
    labels = labels or list(wanted)
    if labels:
        return _by_position(with_background(labels), values)
    if _binary(values):
        return ClassMap([BACKGROUND, OBJECT], {0: 0, IGNORE: 1}, {})
    found = sorted(set(values) - {0, IGNORE})
    if not found:
        raise failure(Reason.DATA_ONE_CLASS, "the masks hold nothing but background")
    positions = {value: position for position, value in enumerate(found, start=1)}
    return ClassMap([BACKGROUND, *map(str, found)], {0: 0, IGNORE: IGNORE} | positions, {})


def with_background(labels: Sequence[str]) -> list[str]:
    """The background first, whether it is listed or not. Raises RunError when it stands elsewhere, or there are too many."""
    if place := _background_place(labels):
        raise failure(Reason.DATA_LAYOUT_INVALID, f"the class {labels[place]!r} has to be the first, mask value 0")
    found = list(labels) if _is_background(labels[0]) else [BACKGROUND, *labels]
    if len(found) > MOST_CLASSES:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{len(found)} classes; masks have room for {MOST_CLASSES}")
    return found


def _is_background(label: str) -> bool:
    return label.lower() in BACKGROUNDS


def _background_place(labels: Sequence[str]) -> int:
    """Where it stands; 0 also when it is not listed."""
    return next((place for place, label in enumerate(labels) if _is_background(label)), 0)


def _binary(values: dict[int, str]) -> bool:
    """Whether 255 is the object, since there is nothing else."""
    return set(values) <= {0, IGNORE} and IGNORE in values


def _by_position(classes: list[str], values: dict[int, str]) -> ClassMap:
    if len(classes) == 2 and _binary(values):
        return ClassMap(classes, {0: 0, IGNORE: 1}, {})
    if unknown := sorted(value for value in values if len(classes) <= value < IGNORE):
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"masks have values that no class has: {_places({str(value): values[value] for value in unknown})}; "
            f"the {len(classes)} classes have 0 to {len(classes) - 1}, and {IGNORE} is ignored",
        )
    return ClassMap(classes, {value: value for value in range(len(classes))} | {IGNORE: IGNORE}, {})


def _places(found: dict[str, str]) -> str:
    return ", ".join(f"{value} in {name}" for value, name in list(found.items())[:SHOWN])


def _by_colour(names: Sequence[Name], colours: dict[Colour, str]) -> ClassMap:
    """The order of the names means nothing here, so the background moves to the front. Raises RunError."""
    names = sorted(names, key=lambda name: not _is_background(name.label))
    classes = with_background([name.label for name in names])
    shift = len(classes) - len(names)
    known = {name.colour: position + shift for position, name in enumerate(names) if name.colour is not None}
    if shift:
        known.setdefault((0, 0, 0), 0)
    if unknown := {_hex(colour): name for colour, name in colours.items() if colour not in known}:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"masks have colours that no class has: {_places(unknown)}; "
            f"the colours of the {len(classes)} classes are {', '.join(map(_hex, list(known)[:SHOWN]))}"
            f"{' and others' if len(known) > SHOWN else ''}",
        )
    return ClassMap(classes, {}, known)


def _found_colours(colours: dict[Colour, str], wanted: Sequence[str]) -> ClassMap:
    found = sorted(set(colours) - {(0, 0, 0)}, key=lambda colour: natural(_hex(colour)))
    if len(found) >= MOST_CLASSES:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"masks have more than {MOST_CLASSES} colours: are they photographs? {colours[found[0]]}",
        )
    if wanted:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"masks are in colour ({', '.join(map(_hex, found[:SHOWN]))}); say in labelmap.txt (name:red,green,blue) "
            "which colour each class of spec.data.classes has",
        )
    positions = {colour: position for position, colour in enumerate(found, start=1)}
    return ClassMap([BACKGROUND, *map(_hex, found)], {}, {(0, 0, 0): 0} | positions)


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


class Used(NamedTuple):
    """What masks hold, each with the first file that holds it."""

    values: dict[int, str]
    """Of grey and palette masks"""
    painted: dict[Colour, str]
    """The same as they look: in the colours of the palette, or grey"""
    colours: dict[Colour, str]
    """Of masks in colour"""


def used_values(masks: Sequence[Path], root: Path) -> Used:
    """Every value and colour of the masks. Raises RunError."""
    used = Used({}, {}, {})
    for path in masks:
        name = path.relative_to(root).as_posix()
        try:
            pixels, palette = _pixels(path, name)
        except (MaskError, OSError) as error:
            raise failure(Reason.DATA_DAMAGED, str(error)) from error
        if pixels.ndim == 2:
            shown = _codes(palette)
            for value in np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist():
                used.values.setdefault(value, name)
                if len(used.painted) <= MOST_COLOURS:
                    used.painted.setdefault(_colour(int(shown[value])), name)
        else:
            for code in np.unique(_codes(pixels)).tolist():
                used.colours.setdefault(_colour(code), name)
        if len(used.colours) > MOST_COLOURS:
            break
    return used


class Pixels(NamedTuple):
    levels: NDArray[np.uint8]
    """[height, width] of values, or [height, width, 3] of colours"""
    palette: NDArray[np.uint8]
    """[256, 3], the colour that each value is shown in; grey where the file has none"""


def _pixels(path: Path, name: str) -> Pixels:
    """Raises MaskError, OSError."""
    try:
        with Image.open(path) as image:
            image.load()
            levels = np.asarray(image.convert("L") if image.mode == "1" else image)
            pixels = np.asarray(image.convert("RGB")) if levels.ndim == 3 else levels
            palette = _palette(image)
    except (ValueError, SyntaxError, EOFError, OSError) as error:
        raise MaskError(f"{name} does not open as a mask: {error}") from error
    if pixels.dtype != np.uint8:
        if pixels.min() < 0 or pixels.max() > IGNORE:
            raise MaskError(f"{name}: a mask's values are 0 to {IGNORE}; found {pixels.min()} to {pixels.max()}")
        pixels = pixels.astype(np.uint8)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Pixels(pixels, palette)


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """See Pixels. A palette may have fewer than 256 colours: the others are black."""
    listed = image.getpalette("RGB") if image.mode == "P" else None
    if listed is None:
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.array((listed + [0] * 768)[:768], np.uint8).reshape(256, 3)


def _codes(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """uint8 [..., 3] -> one number for each colour."""
    parts = pixels.astype(np.uint32)
    return np.asarray(parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2])


def _colour(code: int) -> Colour:
    return (code >> 16, code >> 8 & 255, code & 255)


def read_mask(path: Path, mapping: ClassMap, root: Path) -> Mask:
    """Positions of classes. Raises MaskError, OSError."""
    pixels, palette = _pixels(path, path.relative_to(root).as_posix())
    if mapping.colours:
        codes = _codes(pixels) if pixels.ndim == 3 else _codes(palette)[pixels]
        found = np.full(codes.shape, IGNORE, np.uint8)
        for colour, position in mapping.colours.items():
            found[codes == (colour[0] << 16 | colour[1] << 8 | colour[2])] = position
        return found
    table = np.full(256, IGNORE, np.uint8)
    for value, position in mapping.values.items():
        table[value] = position
    return np.asarray(table[pixels])
