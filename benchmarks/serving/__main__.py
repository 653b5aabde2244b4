"""`make bench-serving`: this server against its peers, on the same two processors with the same bundle. See ../README.md."""

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.serving import report
from benchmarks.serving.bars import bars
from benchmarks.serving.bundle import BundleError, trained_bundle
from benchmarks.serving.lineup import chosen_settings
from benchmarks.serving.measuring import FULL, QUICK, Outcome, Plan, measure_all
from benchmarks.serving.pictures import large_pictures, served_pictures
from benchmarks.serving.processes import ROOT, CompetitorError, Place, packages_of, run_json
from benchmarks.serving.tuning import tune
from rich.console import Console

from autotrain_api.bundle import read_manifest
from autotrain_server.engine import openvino_precisions
from autotrain_server.predictor import Predictor

CACHE = ROOT / ".cache/bench"
RESULTS = ROOT / "benchmarks/results/serving.json"
PROCESSORS = 2
console = Console(width=150, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-serving", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes: does everything run? The figures mean little"
    )
    parser.add_argument(
        "--tune", action="store_true", help="search each competitor's settings first; writes settings.json"
    )
    options = parser.parse_args()
    two_processors()
    try:
        place, pictures = prepare(CACHE)
    except BundleError as error:
        sys.exit(str(error))
    if options.tune:
        tune(place, pictures, say)
    sys.exit(run(QUICK if options.quick else FULL, place, pictures))


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False)


def two_processors() -> None:
    """Everybody, the load too, shares the first two processors of this process."""
    chosen = sorted(os.sched_getaffinity(0))[:PROCESSORS]
    if len(chosen) < PROCESSORS:
        sys.exit(f"the benchmark needs {PROCESSORS} processors; this process may use {len(chosen)}")
    os.sched_setaffinity(0, chosen)


def prepare(cache: Path) -> tuple[Place, list[bytes]]:
    """Bundle and pictures, made when they are not there, and the precision that this server takes. Raises BundleError."""
    cache.mkdir(parents=True, exist_ok=True)
    bundle = trained_bundle(cache)
    folder = cache / "pictures"
    pictures = served_pictures(folder)
    large_pictures(folder)
    precision = Predictor.load(bundle).engine.precision
    return Place(cache, bundle, bundle.with_name(bundle.name.replace("bundle", "data")), folder, precision), pictures


def run(plan: Plan, place: Place, pictures: list[bytes]) -> int:
    """Measure, print, write; 1 when something failed to run."""
    settings = chosen_settings()
    outcome = measure_all(plan, settings, place, pictures, say)
    decoding, failed = measure_decoding(plan, place)
    counted = [{name: one for name, one in found.items() if name not in outcome.refused} for found in outcome.rounds]
    bfloat16 = "BFloat16" in openvino_precisions()
    found_bars = bars(counted, decoding, bfloat16)
    facts = {"precision": place.precision, "bfloat16": bfloat16, "decoding12MegapixelMilliseconds": decoding}
    facts["precisions"] = agreements(place.bundle)
    found = report.results(plan, outcome.rounds, outcome.refused, found_bars, settings, facts, packages_of(place.cache))
    report.show(console, found, found_bars)
    path = RESULTS if plan is FULL else place.cache / "serving-quick.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(f"written to {path.relative_to(ROOT)}")
    return 1 if failed or any_error(outcome) else 0


def agreements(bundle: Path) -> dict[str, float]:
    """Precision -> share of the pictures that get the class that Float32 gives, where the trainer could measure it."""
    return {record.precision: record.agreement for record in read_manifest(bundle).precisions if record.samples}


def any_error(outcome: Outcome) -> bool:
    return any("error" in one for found in outcome.rounds for one in found.values())


def measure_decoding(plan: Plan, place: Place) -> tuple[dict[str, float] | None, bool]:
    """Milliseconds for a 12-megapixel JPEG, and whether it failed."""
    arguments = ("--bundle", str(place.bundle), "--pictures", str(place.pictures), "--turns", str(plan.decode_turns))
    try:
        found: dict[str, float] = run_json("decoding", *arguments)
    except CompetitorError as error:
        say(f"decoding FAILED: {error}")
        return None, True
    say(f"12-megapixel JPEG: {found['server']:.0f} ms here, {found['naive']:.0f} ms naive")
    return found, False


if __name__ == "__main__":
    main()
