"""The interface of a task."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from autotrain_api.trainingjob import Postprocessing

Scores: TypeAlias = NDArray[Any]
Tensor = tuple[str, list[int], Sequence[Any]]
"""Of the Open Inference Protocol: datatype, shape, values in row-major order."""


class Seen(NamedTuple):
    """What the engine said of one picture."""

    scores: Scores
    width: int
    height: int
    """Size of the upright upload, in pixels."""


class Task(Protocol):
    """Made of classes, preprocessing and what the trainer resolved. Scores are what the graph gives, picture by picture."""

    quick: bool
    """Whether an answer takes so little time that it is made on the event loop."""

    draws: bool
    """Whether answers have something to draw: boxes, masks."""

    def problem(self, scores: Scores) -> str:
        """Why these cannot be the scores of this model (shape, type), or ""."""
        ...

    def headlines(self, scores: Scores) -> list[str]:
        """The class that each picture's scores speak of most, so that a change of the class order shows."""
        ...

    def difference(self, found: Scores, wanted: Scores, scale: float) -> float:
        """How far `found` is from the Float32 scores `wanted`, 0 for the same; NaN when something is no number.

        `scale` is the largest |golden score|. A server allows GOLDEN_TOLERANCE.
        """
        ...

    def drift(self, found: Scores, wanted: Scores, scale: float) -> float:
        """The same for a lower precision, in the terms of its record's tolerance."""
        ...

    def answer(self, seen: Seen, settings: Postprocessing) -> BaseModel:
        """The answer for one picture, as it is sent."""
        ...

    def labels(self, answer: Any) -> list[str]:
        """Class names in an answer, to be counted."""
        ...

    def tensors(self, count: int) -> dict[str, tuple[str, list[int]]]:
        """Outputs of the Open Inference Protocol: name -> datatype and shape for `count` pictures (-1: any)."""
        ...

    def outputs(self, seen: Sequence[Seen], answers: Sequence[Any]) -> dict[str, Tensor]:
        """Their values, from scores and the answers made of them."""
        ...

    def draw(self, image: Image.Image, answer: Any) -> Image.Image:
        """The upright RGB picture with the answer drawn on it; the picture itself where nothing can be drawn."""
        ...
