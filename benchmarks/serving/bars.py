"""The bars of `make bench-serving`: what this server promises, computed from the rounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.serving.figures import Bar, Summary, allowed, ratios, summary

SERVER = "server"
EIGHT_BITS = "server-int8"
LIMIT = "limit"
NOOP = "noop"
MIDDLE, MOST = "8", "32"
"""Concurrencies, as they are called in the results."""

Round = Mapping[str, Mapping[str, Any]]
"""One round: competitor -> what was measured of it; only those that count."""


def bars(rounds: Sequence[Round], decoding: Mapping[str, float] | None, bfloat16: bool) -> list[Bar]:
    """All of them, in the order of the table."""
    faster = [("seed", 7.0 if bfloat16 else 2.2), ("litserve-openvino", 2.0)]
    if bfloat16:
        faster.insert(1, ("litserve-torch", 5.0))
    eight_bits = (
        [Bar("requests/s at 8, Int8 / bfloat16", True, 1.15, "x", eight_bits_ratio(rounds))] if bfloat16 else []
    )
    large = summary([decoding["naive"] / decoding["server"]]) if decoding else None
    return [
        *(
            Bar(f"requests/s at 8, server / {name}", True, wanted, "x", rate_ratio(rounds, name))
            for name, wanted in faster
        ),
        *eight_bits,
        Bar("requests/s at 8, server / what limit and noop allow", True, 0.85, "x", share_of_allowed(rounds)),
        Bar("p99 at 32", False, 250, "ms", figures(rounds, lambda server: server["levels"][MOST]["p99"])),
        Bar("p50 at 1, above decode + forward", False, 3, "ms", above_alone(rounds)),
        Bar("first answer", False, 1.5, "s", figures(rounds, lambda server: server["first"])),
        Bar("peak memory", False, 280, "MB", figures(rounds, lambda server: server["memory"])),
        Bar("12-megapixel JPEG, naive decode / server's", True, 2.5, "x", large),
    ]


def rate(measured: Mapping[str, Any]) -> float:
    """Requests/s at the middle concurrency."""
    return float(measured["levels"][MIDDLE]["rate"])


def together(rounds: Sequence[Round], *names: str) -> list[Round]:
    """Rounds in which all of these were measured."""
    return [found for found in rounds if all(name in found for name in names)]


def figures(rounds: Sequence[Round], figure: Callable[[Mapping[str, Any]], float | None]) -> Summary | None:
    """A figure of the server over the rounds."""
    found = [figure(one[SERVER]) for one in together(rounds, SERVER)]
    return summary([value for value in found if value is not None])


def rate_ratio(rounds: Sequence[Round], other: str) -> Summary | None:
    both = together(rounds, SERVER, other)
    return ratios([rate(one[SERVER]) for one in both], [rate(one[other]) for one in both])


def eight_bits_ratio(rounds: Sequence[Round]) -> Summary | None:
    both = together(rounds, SERVER, EIGHT_BITS)
    return ratios([rate(one[EIGHT_BITS]) for one in both], [rate(one[SERVER]) for one in both])


def share_of_allowed(rounds: Sequence[Round]) -> Summary | None:
    found = together(rounds, SERVER, LIMIT, NOOP)
    return ratios(
        [rate(one[SERVER]) for one in found],
        [allowed(one[LIMIT]["throughput"], rate(one[NOOP])) for one in found],
    )


def above_alone(rounds: Sequence[Round]) -> Summary | None:
    """Milliseconds that a single client waits beyond the work itself."""
    found = together(rounds, SERVER, LIMIT)
    return summary(
        [one[SERVER]["levels"]["1"]["p50"] - one[LIMIT]["alone"] for one in found if one[SERVER]["levels"]["1"]["p50"]]
    )
