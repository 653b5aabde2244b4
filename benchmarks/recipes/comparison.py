"""What a comparison hands to the runner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.serving.figures import Bar

Say = Callable[[str], None]
MOST_SECONDS = 600
"""Of one run on two processors, everything included."""


class Place(NamedTuple):
    cache: Path
    """Data, weights and bundles lie below it."""
    seed: int
    """Of the generated pictures."""


class Comparison(NamedTuple):
    figures: dict[str, Any]
    """As JSON; they become a section of results/recipes.json."""
    bars: list[Bar]


Compare = Callable[[Place, Say], Comparison]
