"""Finds each competitor's best settings: every combination of its axes, requests/s at concurrency 8. Writes settings.json."""

import json
from typing import Any

from benchmarks.serving.lineup import LINEUP, SETTINGS, Competitor
from benchmarks.serving.measuring import TUNING, Say, attempt
from benchmarks.serving.processes import Place


def tune(place: Place, pictures: list[bytes], say: Say) -> None:
    """Search, and write what was tried with what was chosen."""
    entries = {}
    for competitor in LINEUP:
        if competitor.axes:
            entries[competitor.name] = search(competitor, place, pictures, say)
            SETTINGS.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def search(competitor: Competitor, place: Place, pictures: list[bytes], say: Say) -> dict[str, Any]:
    """{"chosen": setting, "tried": settings with their rate}. A setting that fails has the rate 0."""
    tried = []
    for setting in competitor.settings():
        rate = rate_of(attempt(competitor, TUNING, setting, place, pictures))
        tried.append({**setting, "rate": round(rate, 1)})
        say(f"tuning ({competitor.letter}) {competitor.name} {setting}: {rate:.1f}/s")
    best = max(tried, key=lambda entry: entry["rate"])
    return {"chosen": {name: int(value) for name, value in best.items() if name != "rate"}, "tried": tried}


def rate_of(found: dict[str, Any]) -> float:
    """Requests/s; answers other than 200 do not count."""
    if "error" in found:
        return 0.0
    return float(found["throughput"] if "throughput" in found else found["levels"]["8"]["rate"])
