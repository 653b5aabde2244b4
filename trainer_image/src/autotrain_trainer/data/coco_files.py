"""COCO's annotation files: which there are, and what stands in them (https://cocodataset.org/#format-data).

One JSON file per part, with images, categories and annotations. What an annotation marks is read by coco.py (boxes) and
coco_masks.py.
"""

import codecs
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from autotrain_api.names import Reason
from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import refuse_missing
from autotrain_trainer.data.fetch import failure
from autotrain_trainer.data.layouts import SHOWN, VALIDATION_NAMES, hidden, part_of
from autotrain_trainer.data.samples import Parts, Sample
from autotrain_trainer.data.tables import picture_in
from autotrain_trainer.failures import printable

Id = int | str


def or_default(default: int) -> BeforeValidator:
    """Exports write null where they know nothing."""
    return BeforeValidator(lambda value: default if value is None else value)


class Lenient(BaseModel):
    """A part of a document in which more may stand."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)


class Picture(Lenient):
    id: Id
    file_name: str
    width: Annotated[int, or_default(0)] = 0
    height: Annotated[int, or_default(0)] = 0


class _Category(Lenient):
    id: Id
    name: str


class Annotation(Lenient):
    image_id: Id
    category_id: Id


class Mark(NamedTuple):
    """One annotation of a picture."""

    label: str
    place: str
    """For messages: the file, and where in it."""
    content: Any
    """As its kind of annotation has it."""


Make = Callable[[Picture, str, Callable[[], bytes], list[Mark]], Sample]
"""An entry of `images`, the picture's name, how to read it, and its annotations -> a sample. Raises RunError."""


def coco_parts(root: Path, data: Data, kind: type[Annotation], make: Make) -> Parts:
    """train.json, annotations/instances_train2017.json, train/_annotations.coco.json and the like. Raises RunError."""
    train = part_of(root, data.train, "train", file=True) if data.train else annotation_file(root, ("train",))
    validation = part_of(root, data.validation, "validation", file=True) if data.validation else None
    if validation is None and not data.train:
        validation = _found(root, VALIDATION_NAMES)
    test = part_of(root, data.test, "test", file=True) if data.test else None
    return Parts(
        read_part(train, root, kind, make),
        read_part(validation, root, kind, make) if validation and validation != train else [],
        read_part(test, root, kind, make) if test else [],
    )


def annotation_file(root: Path, words: Sequence[str]) -> Path:
    """The JSON file whose name or folder has one of `words` in it, or the only one. Raises RunError."""
    found = _found(root, words)
    files = _json_files(root)
    if found is None and len(files) == 1:
        return files[0]
    if found is None:
        names = ", ".join(path.relative_to(root).as_posix() for path in files[:SHOWN]) or "none"
        raise failure(Reason.DATA_LAYOUT_INVALID, f"name the annotations in spec.data.train; JSON files found: {names}")
    return found


def _found(root: Path, words: Sequence[str]) -> Path | None:
    """Of several, the one with boxes: COCO calls it instances."""
    named = [path for path in _json_files(root) if set(words) & set(_words(path.relative_to(root)))]
    boxes = [path for path in named if "instances" in _words(path.relative_to(root))]
    chosen = boxes if len(named) > 1 else named
    return chosen[0] if len(chosen) == 1 else None


def _words(path: Path) -> list[str]:
    return re.findall(r"[a-z]+", path.as_posix().lower())


def _json_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.json") if not hidden(path.relative_to(root)))


def read_part(path: Path, root: Path, kind: type[Annotation], make: Make) -> list[Sample]:
    """A sample for each entry of `images`. Raises RunError."""
    document = _read(path, kind)
    names = _by_id(path, "categories", ((category.id, category.name) for category in document.categories))
    files = _by_id(path, "images", ((image.id, image.file_name) for image in document.images))
    marks: dict[Id, list[Mark]] = defaultdict(list)
    for position, entry in enumerate(document.annotations):
        place = f"{path.name}, annotations[{position}]"
        for what, key, known in (("image_id", entry.image_id, files), ("category_id", entry.category_id, names)):
            if key not in known:
                raise failure(Reason.DATA_LAYOUT_INVALID, f"{place}: there is no entry with {what} {key!r}")
        marks[entry.image_id].append(Mark(names[entry.category_id], place, entry))
    bases = list(_folders(path, root))
    samples, missing = [], []
    for position, image in enumerate(document.images):
        file = next(filter(None, (picture_in(bases, name, root) for name in _names(image.file_name))), None)
        if file is None:
            missing.append(f"images[{position}]: {image.file_name!r}")
            continue
        name = printable(file.relative_to(root.resolve()).as_posix())
        samples.append(make(image, name, file.read_bytes, marks[image.id]))
    refuse_missing(path.name, missing)
    if not samples:
        raise failure(Reason.DATA_EMPTY, f"{path.name} has no images")
    return samples


def _names(name: str) -> Iterator[str]:
    """As written, and for exports that name a path of another machine the file's own name."""
    yield name
    yield PurePosixPath(name.replace("\\", "/")).name


def _read(path: Path, kind: type[Annotation]) -> Any:
    class Document(Lenient):
        images: list[Picture]
        annotations: list[kind]  # type: ignore[valid-type]
        categories: list[_Category]

    try:
        return Document.model_validate_json(path.read_bytes().removeprefix(codecs.BOM_UTF8))
    except (ValidationError, OSError) as error:
        if not isinstance(error, ValidationError):
            raise failure(Reason.DATA_NOT_READABLE, f"{path.name} cannot be read: {error}") from error
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise failure(
            Reason.DATA_LAYOUT_INVALID, f"{path.name} is not a COCO annotation file: {place}: {first['msg']}"
        ) from error


Value = TypeVar("Value")


def _by_id(path: Path, what: str, entries: Iterable[tuple[Id, Value]]) -> dict[Id, Value]:
    found: dict[Id, Value] = {}
    for position, (key, value) in enumerate(entries):
        if key in found:
            raise failure(Reason.DATA_LAYOUT_INVALID, f"{path.name}, {what}[{position}]: the id {key!r} is taken")
        found[key] = value
    return found


def _folders(path: Path, root: Path) -> Iterable[Path]:
    """Where the pictures of an annotation file may lie: beside it, in the data, in a folder called like it."""
    part = path.stem.removeprefix("instances_")
    for base in (path.parent, root):
        yield from (base, base / "images", base / part, base / part / "images", base / "images" / part)
