"""A class for every pixel: class maps become masks in the size of the upload.

Scores: uint8 [n, 2, height, width] at the network's size, first the position of the likeliest class (0 is the background),
then its probability, 0 to 255.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.geometry import corner_of, region_of
from autotrain_server.tasks.base import Scores, Seen, Tensor

PATH = "/segmentation/validate/"
BACKGROUND = 0
CERTAIN = 255
"""The probability of 1 in a map."""
OPACITY = 0.5
DIGITS = 6
Map = NDArray[np.uint8]


class RunLengths(BaseModel):
    """COCO's uncompressed form: lengths of runs of 0 and 1 in turn, column by column, the first of 0."""

    size: tuple[int, int]
    """height, width"""
    counts: list[int]


class SegmentedClass(BaseModel):
    label: str
    pixels: int
    share: float
    """Of the picture's pixels."""
    confidence: float
    """Mean probability over its pixels."""
    rle: RunLengths


class SegmentationAnswer(BaseModel):
    """Every class that was found but the background, the largest first."""

    width: int
    height: int
    classes: list[SegmentedClass]
    mask: str
    """PNG in base64, as large as the upload: a pixel's value is the position of its class in the model's classes."""


class Maps(NamedTuple):
    """The network's maps where they lie under the upload, and over how many of its pixels each row and column reaches."""

    classes: Map
    """uint8 [rows, columns]"""
    confidence: Map
    """uint8 [rows, columns]"""
    heights: NDArray[np.int64]
    """[rows]; they add up to the upload's"""
    widths: NDArray[np.int64]
    """[columns]"""

    def pixels(self) -> Map:
        """The class of every pixel of the upload, uint8 [height, width]."""
        return self.classes.repeat(self.widths, axis=1).repeat(self.heights, axis=0)


class Segmentation:
    quick = False
    draws = True

    def __init__(self, classes: Sequence[str], preprocessing: ResolvedPreprocessing, resolved: dict[str, Any]) -> None:
        self.classes = classes
        self.preprocessing = preprocessing

    def problem(self, scores: Scores) -> str:
        wanted = (len(scores), 2, self.preprocessing.height, self.preprocessing.width)
        if scores.shape != wanted or scores.dtype != np.uint8:
            return f"scores are {scores.dtype} {scores.shape}, not uint8 {wanted}"
        highest = int(scores[:, 0].max(initial=0))
        return "" if highest < len(self.classes) else f"scores name class {highest}; there are {len(self.classes)}"

    def headlines(self, scores: Scores) -> list[str]:
        """The largest class that is not the background."""
        counts = [np.bincount(row[0].ravel(), minlength=len(self.classes)) for row in scores]
        return [self.classes[int(count[1:].argmax()) + 1 if count[1:].any() else BACKGROUND] for count in counts]

    def difference(self, found: Scores, wanted: Scores, scale: float) -> float:
        """Share of the pixels with another class in the picture where it is largest, or the mean change of probability."""
        other = (found[:, 0] != wanted[:, 0]).mean(axis=(1, 2))
        surer = np.abs(found[:, 1].astype(np.int16) - wanted[:, 1]).mean(axis=(1, 2)) / CERTAIN
        return float(max(other.max(), surer.max()))

    drift = difference

    def answer(self, seen: Seen, settings: Postprocessing) -> SegmentationAnswer:
        maps = self.maps(seen)
        areas = np.outer(maps.heights, maps.widths).ravel()
        kinds, sureness = maps.classes.ravel(), maps.confidence.ravel()
        counts = np.bincount(kinds, weights=areas, minlength=len(self.classes))
        sums = np.bincount(kinds, weights=areas * sureness, minlength=len(self.classes))
        lengths = run_lengths(maps)
        found = [
            SegmentedClass(
                label=settings.labels.get(self.classes[position], self.classes[position]),
                pixels=int(counts[position]),
                share=round(float(counts[position] / (seen.width * seen.height)), DIGITS),
                confidence=round(float(sums[position] / counts[position] / CERTAIN), DIGITS),
                rle=RunLengths(size=(seen.height, seen.width), counts=lengths[position]),
            )
            for position in np.argsort(-counts, kind="stable").tolist()
            if counts[position] and position != BACKGROUND
        ]
        return SegmentationAnswer(width=seen.width, height=seen.height, classes=found, mask=png_of(maps.pixels()))

    def maps(self, seen: Seen) -> Maps:
        """A pixel of the upload has the class of the nearest pixel of the network's maps."""
        region = region_of(seen.width, seen.height, self.preprocessing)
        left, top = corner_of(region, self.preprocessing)
        drawn = seen.scores[:, top : top + region.height, left : left + region.width]
        heights, widths = reach(region.height, seen.height), reach(region.width, seen.width)
        classes, confidence = drawn[:, heights > 0][:, :, widths > 0]
        return Maps(classes, confidence, heights[heights > 0], widths[widths > 0])

    def labels(self, answer: SegmentationAnswer) -> list[str]:
        return [found.label for found in answer.classes]

    def tensors(self, count: int) -> dict[str, tuple[str, list[int]]]:
        return {"mask": ("BYTES", [count]), "answer": ("BYTES", [count])}

    def outputs(self, seen: Sequence[Seen], answers: Sequence[SegmentationAnswer]) -> dict[str, Tensor]:
        """`mask`: the PNG in base64; `answer`: the JSON of /validate."""
        return {
            "mask": ("BYTES", [len(seen)], [answer.mask for answer in answers]),
            "answer": ("BYTES", [len(seen)], [answer.model_dump_json() for answer in answers]),
        }

    def draw(self, image: Image.Image, answer: SegmentationAnswer) -> Image.Image:
        """The classes in colours over the picture."""
        classes = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.mask))))
        colours = np.array(palette(), np.uint8).reshape(-1, 3)[classes]
        blended = Image.blend(image, Image.fromarray(colours), OPACITY)
        return Image.composite(blended, image, Image.fromarray(classes != BACKGROUND))


def reach(small: int, large: int) -> NDArray[np.int64]:
    """For each of `small` pixels in a row, over how many of `large` it is drawn by the nearest."""
    nearest = Image.fromarray(np.arange(small, dtype=np.int32)[None]).resize((large, 1), Image.Resampling.NEAREST)
    return np.bincount(np.asarray(nearest)[0], minlength=small)


def run_lengths(maps: Maps) -> dict[int, list[int]]:
    """Class -> COCO's run lengths of its mask: the runs of all classes are found once, then told apart."""
    flat = maps.classes.repeat(maps.widths, axis=1).ravel(order="F")
    reached = np.tile(maps.heights, int(maps.widths.sum())).cumsum()
    last = np.append(np.flatnonzero(flat[1:] != flat[:-1]), len(flat) - 1)
    values, ends = flat[last], reached[last]
    starts = np.concatenate([[0], ends[:-1]])
    found = {}
    for value in np.unique(values):
        own = values == value
        borders = np.stack([starts[own], ends[own]], axis=1).ravel()
        counts = np.diff(borders, prepend=0, append=reached[-1])
        found[int(value)] = (counts[:-1] if counts[-1] == 0 else counts).tolist()
    return found


def png_of(classes: Map) -> str:
    """A palette PNG in base64, whose values are the classes."""
    image = Image.fromarray(classes)
    image.putpalette(palette())
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return base64.b64encode(file.getvalue()).decode()


def palette() -> list[int]:
    """256 colours far apart, three values each: the bits of a position from the highest down, as Pascal VOC does."""
    found = []
    for position in range(256):
        for channel in range(3):
            bits = (position >> (3 * place + channel) & 1 for place in range(8))
            found.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return found
