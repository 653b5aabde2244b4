"""`make bench-recipes`: what the recipes reach in ten minutes on two processors. See ../README.md."""

import argparse
import sys

from benchmarks.recipes import detection, initial, segmentation
from benchmarks.recipes.comparison import Compare, Place
from benchmarks.recipes.results import RESULTS, keep, section
from benchmarks.recipes.training import TrainingError
from benchmarks.recipes.weights import WeightsError
from benchmarks.serving.__main__ import CACHE, two_processors
from benchmarks.serving.processes import ROOT
from benchmarks.serving.report import bars_table
from examples.pictures import DataError
from rich.console import Console

SEED = 17
COMPARISONS: dict[str, Compare] = {
    "detection": detection.with_weights,
    "detectionFromScratch": detection.from_scratch,
    "initialWeights": initial.compare,
    "segmentation": segmentation.compare,
}
"""Each has a section of its name in the results."""
console = Console(width=150, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-recipes", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which ones: {', '.join(COMPARISONS)}; all when none is named")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the pictures; only figures of {SEED} are kept")
    options = parser.parse_args()
    if unknown := set(options.names) - set(COMPARISONS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(COMPARISONS)}")
    two_processors()
    met = [run(name, Place(CACHE, options.seed)) for name in options.names or COMPARISONS]
    sys.exit(0 if all(met) else 1)


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False)


def run(name: str, place: Place) -> bool:
    """Measure, print, keep; whether all bars were met."""
    try:
        found = COMPARISONS[name](place, say)
    except (DataError, WeightsError, TrainingError) as error:
        say(f"{name} FAILED: {error}")
        return False
    console.print(bars_table(found.bars))
    if place.seed == SEED:
        keep(RESULTS, name, section(found, place))
        say(f"written to {RESULTS.relative_to(ROOT)}")
    return all(bar.met for bar in found.bars)


if __name__ == "__main__":
    main()
