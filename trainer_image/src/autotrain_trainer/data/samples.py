"""A labelled picture that is not read yet, and the parts of a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    name: str
    """How a person finds it: a path inside the data, or a position."""
    label: str
    read: Callable[[], bytes]
    """The encoded picture. Raises OSError."""
    group: str | None = None
    """Samples of one group stay on one side of the split."""


@dataclass(frozen=True)
class Parts:
    """What the layout found. `validation` and `test` are empty when there are no such parts: then the split makes them."""

    train: Sequence[Sample]
    validation: Sequence[Sample] = field(default_factory=list)
    test: Sequence[Sample] = field(default_factory=list)
