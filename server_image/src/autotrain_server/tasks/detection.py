"""Objects in a picture: rows of raw scores become boxes with labels, in pixels of the upload."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.geometry import boxes_to_image
from autotrain_server.tasks.base import Scores, Seen, Tensor
from autotrain_server.tasks.boxes import BOX, Boxes, certainties, decode, level_sizes, paired_ious
from autotrain_server.tasks.drawing import draw_boxes

PATH = "/object_detection/validate/"
SCORE_THRESHOLD = 0.5
"""Boxes with less are not shown. A score is the root of two probabilities, so 0.5 asks for a product of 0.25: precision and
recall are about equal there (0.73 and 0.81, 0.68 and 0.76 with the two detectors of `make bench-recipes`)."""
NMS_IOU = 0.5
"""Of two boxes of one class with a larger intersection over union, the less certain is the same object again."""
SCORE_DIGITS = 6
PIXEL_DIGITS = 2
"""Decimals in JSON."""


class FoundBox(BaseModel):
    """`box` is x0, y0, x1, y1 in pixels of the upright upload, from its left upper corner."""

    label: str
    confidence: float
    box: list[float]


class DetectionAnswer(BaseModel):
    """`boxes` are sorted, the most certain first; `width` and `height` are those of the upright upload."""

    width: int
    height: int
    boxes: list[FoundBox]


def in_picture(boxes: Boxes, width: int, height: int, preprocessing: ResolvedPreprocessing) -> Boxes:
    """Boxes of the network's input in pixels of the upright picture, without those that lie in the padding alone."""
    corners = boxes_to_image(boxes.corners, width, height, preprocessing).astype(np.float32)
    seen = (corners[:, :2] < corners[:, 2:]).all(axis=1)
    return Boxes(corners[seen], boxes.scores[seen], boxes.labels[seen])


class Detection:
    """Scores: rows of the detector, float32 [n, locations, 4 + 1 + classes]; see boxes.py."""

    quick = False
    draws = True

    def __init__(
        self, classes: Sequence[str], preprocessing: ResolvedPreprocessing, resolved: dict[str, Any] | None = None
    ) -> None:
        self.classes = classes
        self.preprocessing = preprocessing

    def problem(self, scores: Scores) -> str:
        locations = sum(rows * columns for rows, columns in level_sizes(*self._size()))
        wanted = (len(scores), locations, BOX + 1 + len(self.classes))
        if scores.shape != wanted or scores.dtype != np.float32:
            return f"scores are {scores.dtype} {scores.shape}, not float32 {wanted}"
        return ""

    def headlines(self, scores: Scores) -> list[str]:
        """The class of the most certain location."""
        return [self.classes[int(row.argmax()) % len(self.classes)] for row in certainties(scores)]

    def difference(self, found: Scores, wanted: Scores, scale: float) -> float:
        """Largest |difference| of a raw score, in units of the largest |golden score|."""
        return float(np.abs(found - wanted).max()) / scale

    def drift(self, found: Scores, wanted: Scores, scale: float) -> float:
        """The share of the boxes that differ: 0 when all lie as before, 1 when none does."""
        if not np.isfinite(found).all():
            return float("nan")
        pairs = [(self._decode(one), self._decode(other)) for one, other in zip(found, wanted, strict=True)]
        boxes = sum(len(one.scores) + len(other.scores) for one, other in pairs)
        return 1 - 2 * sum(paired_ious(*pair) for pair in pairs) / boxes if boxes else 0.0

    def answer(self, seen: Seen, settings: Postprocessing) -> DetectionAnswer:
        found = in_picture(self._decode(seen.scores, settings), seen.width, seen.height, self.preprocessing)
        names = [self.classes[int(label)] for label in found.labels]
        boxes = [
            FoundBox(
                label=settings.labels.get(name, name),
                confidence=round(float(score), SCORE_DIGITS),
                box=[round(float(value), PIXEL_DIGITS) for value in box],
            )
            for name, score, box in zip(names, found.scores, found.corners, strict=True)
        ]
        return DetectionAnswer(width=seen.width, height=seen.height, boxes=boxes)

    def labels(self, answer: DetectionAnswer) -> list[str]:
        return [box.label for box in answer.boxes]

    def tensors(self, count: int) -> dict[str, tuple[str, list[int]]]:
        return {
            "count": ("INT32", [count]),
            "boxes": ("FP32", [count, -1, BOX]),
            "confidence": ("FP32", [count, -1]),
            "label": ("BYTES", [count, -1]),
        }

    def outputs(self, seen: Sequence[Seen], answers: Sequence[DetectionAnswer]) -> dict[str, Tensor]:
        """As in JSON; a picture with fewer boxes than another is filled up with boxes of no size, `count` are real."""
        most = max((len(answer.boxes) for answer in answers), default=0)
        empty = FoundBox(label="", confidence=0, box=[0.0] * BOX)
        rows = [[*answer.boxes, *[empty] * (most - len(answer.boxes))] for answer in answers]
        every = [box for row in rows for box in row]
        return {
            "count": ("INT32", [len(answers)], [len(answer.boxes) for answer in answers]),
            "boxes": ("FP32", [len(answers), most, BOX], [value for box in every for value in box.box]),
            "confidence": ("FP32", [len(answers), most], [box.confidence for box in every]),
            "label": ("BYTES", [len(answers), most], [box.label for box in every]),
        }

    def draw(self, image: Image.Image, answer: DetectionAnswer) -> Image.Image:
        return draw_boxes(image, [(box.label, box.confidence, box.box) for box in answer.boxes])

    def _size(self) -> tuple[int, int]:
        return self.preprocessing.height, self.preprocessing.width

    def _decode(self, rows: NDArray[np.float32], settings: Postprocessing | None = None) -> Boxes:
        least, overlap = (settings.score_threshold, settings.nms_iou) if settings else (None, None)
        return decode(
            rows,
            *self._size(),
            SCORE_THRESHOLD if least is None else least,
            NMS_IOU if overlap is None else overlap,
        )
