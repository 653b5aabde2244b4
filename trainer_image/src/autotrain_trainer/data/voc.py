"""Pascal VOC: one XML file per picture (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/)."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import BoxSample, MarkedBox, box_sample, refuse_missing
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SUFFIXES, TEST_NAMES, TRAIN_NAMES, VALIDATION_NAMES, hidden, part_of
from autotrain_trainer.data.samples import Parts
from autotrain_trainer.data.tables import picture_in
from autotrain_trainer.failures import printable

LISTS = Path("ImageSets/Main")


def voc(root: Path, data: Data) -> Parts:
    """ImageSets/Main/train.txt with Annotations and JPEGImages, or folders with XML files. Raises RunError."""
    train = _place(root, data.train, "train") or _first(root, TRAIN_NAMES) or root
    validation = _place(root, data.validation, "validation")
    if validation is None and not data.train:
        validation = _first(root, VALIDATION_NAMES)
    test = _place(root, data.test, "test")
    validation_files, test_files = (_files(part, root) if part else [] for part in (validation, test))
    others = {*validation_files, *test_files} if train.is_dir() else set()
    if not data.train:
        others |= {file for name in TEST_NAMES for file in _files(root / name, root)}
    train_files = [file for file in _files(train, root) if file not in others]
    parts = Parts(*(_samples(files, root) for files in (train_files, validation_files, test_files)))
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


def _files(part: Path, root: Path) -> list[Path]:
    """XML files of the pictures that a list names, or below a folder. Raises RunError."""
    if part.is_file():
        return _listed(part, root)
    return [path for path in sorted(part.rglob("*.xml")) if not hidden(path.relative_to(root))]


def _samples(files: Iterable[Path], root: Path) -> list[BoxSample]:
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
    """XML files of the pictures that a list names. Raises RunError."""
    lines = part.read_text(encoding="utf-8", errors="replace").splitlines()
    files = [_annotation(line.strip(), root / "Annotations") for line in lines if line.strip()]
    if lost := [file.stem for file in files if not _is_file(file)]:
        raise failure(
            Reason.DATA_LAYOUT_INVALID,
            f"{part.relative_to(root).as_posix()} names {len(lost)} pictures without a file in Annotations: {lost[0]!r}",
        )
    return files


def _annotation(line: str, folder: Path) -> Path:
    """Of a name that may have spaces, else of the first column: only that counts."""
    whole, first = (folder / f"{name}.xml" for name in (line, line.split()[0]))
    return whole if _is_file(whole) else first


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a line that is too long for a name
        return False


def read_voc(file: Path, root: Path) -> tuple[Path | None, list[MarkedBox]]:
    """The picture (None when it is not there) and its boxes; VOC counts pixels from 1. Raises RunError."""
    place = printable(file.relative_to(root).as_posix())
    try:
        tree = ElementTree.parse(file).getroot()  # noqa: S314 - expat itself refuses entity bombs
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
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
