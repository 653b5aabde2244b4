"""What a bundle needs of a task: the worth of a finished model. One implementation per task, chosen by its recipe."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from autotrain_api.bundle import PairedDifference
from autotrain_api.outcome import ClassMetric, MetricValue
from autotrain_server.tasks import Scores
from autotrain_trainer.data.pictures import Pictures

Scored = tuple[Scores, Pictures]
Calibrate = Callable[[Scored, Scored], dict[str, Any]]
"""What is decided of confidences on the validation part, and how they do on the published one; for the manifest."""


class Assessment(Protocol):
    """What a finished model is worth. Scores are the bundle's, [n, ...], in the order of the pictures."""

    def golden(self, scores: Scores, pictures: Pictures) -> list[int]:
        """Positions of the pictures that become golden, at most 64."""
        ...

    def label(self, pictures: Pictures, row: int) -> str:
        """The truth of a picture in a word or a few."""
        ...

    def measure(self, scores: Scores, pictures: Pictures) -> list[MetricValue]:
        """Every metric of the task with its 95 % interval, the gate's first."""
        ...

    def worst_classes(self, scores: Scores, pictures: Pictures) -> list[ClassMetric]:
        """The classes that it does worst, the worst first."""
        ...

    def agreement(self, lower: Scores, float32: Scores) -> NDArray[Any]:
        """Per picture, how far a lower precision says the same as Float32: 0 to 1."""
        ...

    def loss_difference(self, lower: Scores, float32: Scores, parts: Sequence[Pictures]) -> float:
        """Mean loss in a lower precision minus that in Float32; 0 for a task whose scores have none."""
        ...

    def metric_difference(self, lower: Scores, float32: Scores, pictures: Pictures) -> PairedDifference:
        """The gate's metric in a lower precision minus that in Float32, on the same pictures."""
        ...

    def report(self, folder: Path, scores: Scores, pictures: Pictures) -> None:
        """Plots and tables of the task."""
        ...
