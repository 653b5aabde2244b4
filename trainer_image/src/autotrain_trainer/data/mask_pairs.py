"""MaskPairs: which file is a picture, and which one its mask."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, SUFFIXES, TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES

PICTURE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages", "pictures")
MASK_FOLDERS = ("masks", "mask", "labels", "annotations", "SegmentationClass")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
MASK_ENDINGS = ("", "_mask", "-mask", "_label", "_gt")
"""What a mask's name has behind its picture's."""


class Pair(NamedTuple):
    picture: Path
    mask: Path


class Pairs(NamedTuple):
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


def find_pairs(root: Path, data: Data) -> Pairs:
    """The parts that are named, or train/ and validation/, or everything that is in no other part. Raises RunError."""
    validation = _first_pairs(root, data.validation, VALIDATION_NAMES)
    test = _pairs_below(root, data.test, True) if data.test else []
    train = _first_pairs(root, data.train, TRAIN_NAMES)
    if not train and data.train is None:
        others = {*validation, *test}
        train = [pair for pair in _pairs_below(root, "", True) if pair not in others and not _is_test(pair, root)]
    if not train:
        raise failure(Reason.DATA_EMPTY, f"no pictures with masks below {root.name}/ (layout MaskPairs)")
    return Pairs(train, validation, test)


def _is_test(pair: Pair, root: Path) -> bool:
    """Whether it lies in images/test/ or the like, which nobody named."""
    return not set(TEST_NAMES).isdisjoint(pair.picture.relative_to(root).parent.parts[:2])


def _first_pairs(root: Path, named: str | None, usual: Iterable[str]) -> list[Pair]:
    """Of the part that the spec names, or of the first usual one that is there."""
    if named:
        return _pairs_below(root, named, True)
    return next(filter(None, (_pairs_below(root, name, False) for name in usual)), [])


def _pairs_below(root: Path, part: str, wanted: bool) -> list[Pair]:
    """Pairs of one part: <part>/images and <part>/masks, images/<part> and masks/<part>, or both kinds in one folder."""
    base = root / part
    pictures = _first(base / name for name in PICTURE_FOLDERS) or _first(root / name / part for name in PICTURE_FOLDERS)
    masks = _first(base / name for name in MASK_FOLDERS) or _first(root / name / part for name in MASK_FOLDERS)
    if pictures is None or masks is None:
        if wanted and not base.is_dir():
            found = ", ".join(sorted(child.name for child in root.iterdir())[:SHOWN]) or "nothing"
            raise failure(Reason.DATA_LAYOUT_INVALID, f"there is no folder {part!r} in the data; found: {found}")
        return _mixed(base, root) if base.is_dir() else []
    return _matched(_files(pictures, SUFFIXES), _files(masks, MASK_SUFFIXES), pictures, masks, root)


def _first(folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if folder.is_dir()), None)


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    known = frozenset(suffixes)
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and not path.name.startswith("."))


def _mixed(folder: Path, root: Path) -> list[Pair]:
    """Pictures and masks side by side: 1.jpg and 1.png, or 1_mask.png."""
    files = [path for path in _files(folder, SUFFIXES) if path.parent == folder]
    named = [path for path in files if any(path.stem.endswith(ending) for ending in MASK_ENDINGS if ending)]
    jpegs = [path for path in files if path.suffix.lower() in (".jpg", ".jpeg")]
    masks = named or ([path for path in files if path.suffix.lower() == ".png"] if jpegs else [])
    pictures = [path for path in files if path not in set(masks)]
    return _matched(pictures, masks, folder, folder, root) if masks else []


def _matched(pictures: list[Path], masks: list[Path], from_: Path, to: Path, root: Path) -> list[Pair]:
    """Raises RunError when a picture has no mask."""
    known = {path.relative_to(to).with_suffix("").as_posix(): path for path in masks}
    pairs, missing = [], []
    for picture in pictures:
        stem = picture.relative_to(from_).with_suffix("").as_posix()
        mask = next((known[stem + ending] for ending in MASK_ENDINGS if stem + ending in known), None)
        if mask is None:
            missing.append(picture.relative_to(root).as_posix())
        else:
            pairs.append(Pair(picture, mask))
    if missing:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{len(missing)} of {len(pictures)} pictures have no mask of their name in {to.relative_to(root).as_posix()}/: "
            f"{', '.join(missing[:SHOWN])}",
        )
    return pairs
