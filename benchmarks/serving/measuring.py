"""Rounds: each competitor in turn is started, asked, loaded at every concurrency and ended."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.serving.figures import odd_ones
from benchmarks.serving.lineup import LINEUP, Competitor, Setting
from benchmarks.serving.processes import CompetitorError, Place, Running, environment_of, run_json

Say = Callable[[str], None]
WORK = ("limit", "noop")
"""They name no class."""


class Plan(NamedTuple):
    rounds: int
    levels: tuple[int, ...]
    warm_up: float
    seconds: float
    decode_turns: int


FULL = Plan(rounds=5, levels=(1, 8, 32), warm_up=1.5, seconds=4.0, decode_turns=5)
QUICK = Plan(rounds=1, levels=(1, 8, 32), warm_up=0.5, seconds=1.5, decode_turns=1)
TUNING = Plan(rounds=1, levels=(8,), warm_up=1.0, seconds=4.0, decode_turns=0)


class Outcome(NamedTuple):
    rounds: list[dict[str, Any]]
    """Each competitor's figures, or {"error": text}; a round's first competitor changes from round to round."""
    refused: dict[str, str]
    """Competitor -> why it is not counted."""


def measure_all(plan: Plan, settings: dict[str, Setting], place: Place, pictures: list[bytes], say: Say) -> Outcome:
    """All rounds, and who is not counted: another class than most name, or an error."""
    rounds: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        found: dict[str, Any] = {}
        for competitor in turned(LINEUP, number):
            found[competitor.name] = attempt(competitor, plan, settings.get(competitor.name, {}), place, pictures)
            say(f"round {number + 1} of {plan.rounds}: {line_of(competitor, found[competitor.name])}")
        rounds.append(found)
    return Outcome(rounds, refused_of(rounds))


def turned(lineup: Sequence[Competitor], number: int) -> list[Competitor]:
    """Another one begins in each round, so that nobody always follows the same neighbour's heat."""
    start = (3 * number) % len(lineup)
    return [*lineup[start:], *lineup[:start]]


def attempt(
    competitor: Competitor, plan: Plan, setting: Setting, place: Place, pictures: list[bytes]
) -> dict[str, Any]:
    """Its figures, or its error."""
    try:
        if competitor.name == "limit":
            return measure_limit(plan, setting, place)
        return measure(competitor, plan, setting, place, pictures)
    except CompetitorError as error:
        return {"error": str(error)}


def measure(
    competitor: Competitor, plan: Plan, setting: Setting, place: Place, pictures: list[bytes]
) -> dict[str, Any]:
    """One life of a competitor. Raises CompetitorError."""
    with Running(competitor, setting, place, pictures[0]) as running:
        classes = [] if competitor.name in WORK else running.classes(pictures)
        levels = {}
        for concurrency in plan.levels:
            levels[str(concurrency)] = run_json(
                "load",
                *("--port", str(running.port), "--concurrency", str(concurrency), "--pictures", str(place.pictures)),
                *("--warm-up", str(plan.warm_up), "--seconds", str(plan.seconds)),
            )
        return {"first": running.first, "memory": running.peak_memory(), "levels": levels, "classes": classes}


def measure_limit(plan: Plan, setting: Setting, place: Place) -> dict[str, Any]:
    """What the work alone allows. Raises CompetitorError."""
    arguments = ("--pictures", str(place.pictures), "--seconds", str(plan.seconds))
    found: dict[str, Any] = run_json("competitors.limit", *arguments, environment=environment_of(setting, place, 0))
    return found


def refused_of(rounds: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Competitors that failed in some round, or name another class than most do."""
    refused = {name: str(one["error"]) for found in rounds for name, one in found.items() if "error" in one}
    for found in rounds:
        answers = {name: one["classes"] for name, one in found.items() if one.get("classes")}
        for name, positions in odd_ones(answers).items():
            refused.setdefault(name, f"names another class than most for {len(positions)} pictures: {positions}")
    return refused


def line_of(competitor: Competitor, found: dict[str, Any]) -> str:
    """What a person wants to see while it runs."""
    if "error" in found:
        return f"({competitor.letter}) {competitor.name} FAILED: {found['error']}"
    if "throughput" in found:
        return f"({competitor.letter}) {competitor.name} {found['throughput']:.0f}/s, alone {found['alone']:.1f} ms"
    rates = ", ".join(f"{level['rate']:.0f}/s at {name}" for name, level in found["levels"].items())
    return f"({competitor.letter}) {competitor.name} {rates}; {found['first']:.2f} s, {found['memory']:.0f} MB"
