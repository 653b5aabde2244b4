"""Statistics of the benchmark and its bars. Pure: numbers in, numbers out."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """Several runs of one figure."""

    median: float
    low: float
    high: float


class Bar(NamedTuple):
    """A promise and what was found. `found` is None when a competitor that it needs was not counted."""

    name: str
    at_least: bool
    wanted: float
    unit: str
    found: Summary | None

    @property
    def met(self) -> bool:
        """Decided by the median."""
        if self.found is None:
            return False
        return self.found.median >= self.wanted if self.at_least else self.found.median <= self.wanted


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Nearest rank: the smallest value that at least `fraction` of the sorted values do not exceed. Raises ValueError."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> Summary | None:
    """None when there are no values."""
    return Summary(statistics.median(values), min(values), max(values)) if values else None


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Summary | None:
    """`ours` / `theirs`, round by round, so that what slows a whole round down does not count."""
    return summary([mine / other for mine, other in zip(ours, theirs, strict=True) if other > 0])


def allowed(limit: float, noop: float) -> float:
    """Requests/s of a server that costs nothing besides the work (`limit`) and HTTP (`noop`): their times add up."""
    return 1 / (1 / limit + 1 / noop)


def odd_ones(answers: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Competitor -> positions of the pictures for which it names another class than most of them do; {} when all agree.

    A class that as many name as name another one decides nothing against anybody.
    """
    found: dict[str, list[int]] = {}
    for position, given in enumerate(zip(*answers.values(), strict=True)):
        ranked = Counter(given).most_common(2)
        if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
            ranked = []
        for name, answer in zip(answers, given, strict=True):
            if ranked and answer != ranked[0][0]:
                found.setdefault(name, []).append(position)
    return found
