"""Pascal VOC: one XML file per picture (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/)."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import BoxSample, MarkedBox, box_sample, refuse_missing
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SUFFIXES, VALIDATION_NAMES, hidden, part_of, picture_in
from autotrain_trainer.data.samples import Parts
from autotrain_trainer.failures import printable

LISTS = Path("ImageSets/Main")


def voc(root: Path, data: Data) -> Parts:
    """ImageSets/Main/train.txt with Annotations and JPEGImages, or folders with XML files. Raises RunError."""
    train = _place(root, data.train, "train") or _first(root, ("train",)) or root
    validation = _place(root, data.validation, "validation")
    if validation is None and not data.train:
        validation = _first(root, VALIDATION_NAMES)
    test = _place(root, data.test, "test")
    others = [path for path in (validation, test) if path is not None and path.is_dir()]
    parts = Parts(
        _samples(train, root, others),
        _samples(validation, root, []) if validation else [],
        _samples(test, root, []) if test else [],
    )
    if not parts.train:
        raise failure(Reason.DATA_EMPTY, f"no XML files below {train.relative_to(root.parent)} (layout Voc)")
    return parts


def _place(root: Path, name: str | None, what: str) -> Path | None:
    """A list of pictures or a folder that the spec names; `train` may be short for ImageSets/Main/train.txt."""
    if not name:
        return None
    listed = root / LISTS / f"{name}.txt"
    if listed.is_file():
        return listed
    return part_of(root, name, what, file=name.endswith(".txt"))


def _first(root: Path, names: Iterable[str]) -> Path | None:
    for name in names:
        if (root / LISTS / f"{name}.txt").is_file():
            return root / LISTS / f"{name}.txt"
        if (root / name).is_dir() and any((root / name).rglob("*.xml")):
            return root / name
    return None


def _samples(part: Path, root: Path, others: list[Path]) -> list[BoxSample]:
    if part.is_file():
        files = _listed(part, root)
    else:
        found = (path for path in sorted(part.rglob("*.xml")) if not hidden(path.relative_to(root)))
        files = [path for path in found if not any(path.is_relative_to(other) for other in others)]
    samples, missing = [], []
    for file in files:
        picture, boxes = read_voc(file, root)
        if picture is None:
            missing.append(printable(file.relative_to(root).as_posix()))
            continue
        name = printable(picture.relative_to(root.resolve()).as_posix())
        samples.append(box_sample(name, picture.read_bytes, boxes))
    refuse_missing("the annotation", missing) if len(missing) == 1 else refuse_missing("the annotations", missing)
    return samples


def _listed(part: Path, root: Path) -> list[Path]:
    """XML files of the pictures that a list names; only its first column counts. Raises RunError."""
    words = [line.split() for line in part.read_text(encoding="utf-8", errors="replace").splitlines()]
    files = [root / "Annotations" / f"{line[0]}.xml" for line in words if line]
    if lost := [file.stem for file in files if not file.is_file()]:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{part.relative_to(root).as_posix()} names {len(lost)} pictures without a file in Annotations: {lost[0]!r}",
        )
    return files


def read_voc(file: Path, root: Path) -> tuple[Path | None, list[MarkedBox]]:
    """The picture (None when it is not there) and its boxes; VOC counts pixels from 1. Raises RunError."""
    place = printable(file.relative_to(root).as_posix())
    try:
        tree = ElementTree.parse(file).getroot()  # noqa: S314 - expat itself refuses entity bombs
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{place} is not an XML file: {error}") from error
    boxes = [_box(entry, f"{place}, object[{position}]") for position, entry in enumerate(tree.findall("object"))]
    names = [tree.findtext("filename", "").strip(), *(file.stem + suffix for suffix in sorted(SUFFIXES))]
    above = file.parent.parent
    bases = [file.parent, above / "JPEGImages", above / "images", root, root / "JPEGImages", root / "images"]
    return next((path for name in names if (path := picture_in(bases, name, root))), None), boxes


def _box(entry: ElementTree.Element, place: str) -> MarkedBox:
    label = entry.findtext("name", "").strip()
    if not label:
        raise failure(Reason.DATA_LAYOUT_INVALID, f"{place}: the object has no name")
    values = []
    for name in ("xmin", "ymin", "xmax", "ymax"):
        text = entry.findtext(f"bndbox/{name}", "")
        try:
            values.append(float(text))
        except ValueError as error:
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{place}: {name} is {text!r}, not a number") from error
    return MarkedBox((values[0] - 1, values[1] - 1, values[2], values[3]), label, place)
