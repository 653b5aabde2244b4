"""Boxes of COCO annotations: corner, width and height in pixels of the picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from autotrain_api.trainingjob import Data
from autotrain_trainer.data.boxes import BoxSample, MarkedBox, box_sample
from autotrain_trainer.data.coco_files import Annotation, Mark, Picture, coco_parts, or_default
from autotrain_trainer.data.samples import Parts


class BoxAnnotation(Annotation):
    bbox: tuple[float, float, float, float]
    iscrowd: Annotated[bool, or_default(False)] = False


def coco(root: Path, data: Data) -> Parts:
    """Pictures with boxes. Raises RunError."""
    return coco_parts(root, data, BoxAnnotation, _sample)


def _sample(picture: Picture, name: str, read: Callable[[], bytes], marks: list[Mark]) -> BoxSample:
    return box_sample(name, read, [_box(mark) for mark in marks])


def _box(mark: Mark) -> MarkedBox:
    x, y, width, height = mark.content.bbox
    return MarkedBox((x, y, x + width, y + height), mark.label, mark.place, mark.content.iscrowd)
