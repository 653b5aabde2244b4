"""Do confidences say how often an answer is right? A temperature for the logits, and what shows it. Pure.

Temperature scaling and the expected calibration error are those of Guo et al. 2017 (arXiv:1706.04599). A temperature is
positive, so it never changes which class is likelier.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15
RANGE = (np.log(0.05), np.log(20.0))
"""Where the logarithm of a temperature may lie."""
SPREAD = 0.5
"""Standard deviation of the normal prior of that logarithm. It weighs as much as few pictures do: with so few the
likelihood of a model without mistakes would want boundless confidence."""
ROUNDS = 60
GOLDEN = (np.sqrt(5) - 1) / 2
Values = NDArray[np.float64]


class Bins(NamedTuple):
    """[BINS] each, by confidence from 0 to 1; confidence and share are NaN where there is none."""

    confidence: Values
    """Its mean"""
    share: Values
    """How many were right, of 1"""
    statements: NDArray[np.int64]
    """How many there are"""

    @property
    def error(self) -> float:
        """Expected calibration error: mean |confidence - share right|, by the number of statements."""
        gaps = np.nan_to_num(np.abs(self.confidence - self.share))
        return float((gaps * self.statements).sum() / max(1, self.statements.sum()))


def bins_of(confidences: Values, right: NDArray[np.bool_]) -> Bins:
    """Any number of statements, each with its confidence in 0..1 and whether it was right."""
    places = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(places, minlength=BINS)
    sums = (np.bincount(places, values, minlength=BINS) for values in (confidences, right.astype(np.float64)))
    confidence, share = (np.divide(total, count, out=np.full(BINS, np.nan), where=count > 0) for total in sums)
    return Bins(confidence, share, count)


def calibrated(temperature: float, before: Bins, after: Bins) -> dict[str, Any]:
    """What the manifest says of it."""
    return {"temperature": temperature, "calibration_error": {"before": before.error, "after": after.error}}


def temperature_of(loss: Callable[[float], float]) -> float:
    """The likeliest temperature, where `loss` is the summed negative log-likelihood of the labels at a temperature."""

    def cost(place: float) -> float:
        return loss(float(np.exp(place))) + place**2 / (2 * SPREAD**2)

    return round(float(np.exp(_lowest(cost, *RANGE))), 4)


def _lowest(cost: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search of a function with one minimum."""
    for _ in range(ROUNDS):
        step = GOLDEN * (high - low)
        left, right = high - step, low + step
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return (low + high) / 2
