"""What the training loop needs of a task. One implementation per task, chosen by its recipe."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from autotrain_trainer.data.pictures import Pictures

Target = tuple[Tensor, ...]
"""The targets of a batch, as tensors whose first axis is the picture."""


class Validation(Protocol):
    """Gathers one pass over the validation part."""

    def add(self, scores: Tensor, *target: Tensor) -> None:
        """One batch, float32 on the CPU."""
        ...

    def result(self) -> tuple[float, float]:
        """The mean loss, and the gate's metric."""
        ...


class Objective(Protocol):
    """What is learned."""

    ties_by_loss: bool
    """Of epochs with the same metric: the lowest validation loss is the best one, rather than the first. For metrics that see
    the order of the scores only and not where they are cut."""

    def batch(self, pictures: Pictures, rows: Sequence[int], training: bool) -> tuple[Tensor, Target]:
        """uint8 images [n, height, width, 3] as the network takes them, and their targets; augmented for training."""
        ...

    def loss(self, scores: Tensor, *target: Tensor) -> Tensor:
        """The mean loss of a batch, to be differentiated."""
        ...

    def validation(self) -> Validation: ...


class Gathered:
    """A Validation that keeps everything and judges it at the end: for targets of one tensor that is small."""

    def __init__(self, judge: Callable[[Tensor, Tensor], tuple[float, float]]) -> None:
        """`judge` takes all scores and all targets, and gives the mean loss and the gate's metric."""
        self._judge = judge
        self._scores: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, scores: Tensor, *target: Tensor) -> None:
        self._scores.append(scores)
        self._targets.append(target[0])

    def result(self) -> tuple[float, float]:
        return self._judge(torch.cat(self._scores), torch.cat(self._targets))
