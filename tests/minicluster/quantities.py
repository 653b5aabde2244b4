"""Kubernetes quantities ("500m", "1.5Gi"): parsed exactly and written in the canonical form the API returns."""

import re
from fractions import Fraction

_PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(?:([EPTGMk]|[numµ]|[EPTGMK]i)|[eE]([+-]?\d+))?$")
_DECIMAL = {"n": -9, "u": -6, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def _factor(suffix: str) -> Fraction:
    return Fraction(2 ** _BINARY[suffix]) if suffix in _BINARY else Fraction(10) ** _DECIMAL[suffix]


def parse(text: str | float) -> Fraction:
    """ValueError where it is no quantity."""
    found = _PATTERN.match(str(text))
    if not found:
        raise ValueError(f"quantities must match the regular expression '{_PATTERN.pattern}'")
    number = Fraction(found[1])
    return number * Fraction(10) ** int(found[3]) if found[3] else number * _factor(found[2] or "")


def canonical(text: str | float) -> str:
    """The same amount without fractions, with the largest suffix of its family that fits."""
    amount = parse(text)
    binary = str(text).endswith("i") and amount == int(amount)
    for suffix in reversed([*_BINARY] if binary else [key for key in _DECIMAL if key not in ("", "µ")]):
        scaled = amount / _factor(suffix)
        if suffix not in ("n", "u", "m") and scaled == int(scaled) and abs(scaled) >= 1:
            return f"{int(scaled)}{suffix}"
    for suffix in ("", "m", "u", "n"):
        scaled = amount / _factor(suffix)
        if scaled == int(scaled):
            return f"{int(scaled)}{suffix}"
    return f"{-((-amount / _factor('n')) // 1)}n"
