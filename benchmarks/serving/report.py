"""What was measured as a table for people and as JSON for machines."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.bars import LIMIT, SERVER, rate_ratio
from benchmarks.serving.figures import Bar, Summary, summary
from benchmarks.serving.lineup import LINEUP, Competitor, Setting, not_searched
from benchmarks.serving.measuring import Plan
from rich.console import Console
from rich.table import Table

PACKAGES = (
    "fastai",
    "fastapi",
    "litserve",
    "numpy",
    "openvino",
    "pillow",
    "pyzmq",
    "simplejpeg",
    "starlette",
    "timm",
    "torch",
    "uvicorn",
)
OPTIONAL = ("uvloop", "httptools")
"""They change uvicorn's speed where they are installed."""
FIGURES = ("rate", "p50", "p99", "processor")

Rounds = Sequence[dict[str, Any]]


def medians_of(rounds: Rounds) -> dict[str, Any]:
    """Competitor -> its figures as [median, low, high]."""
    found: dict[str, Any] = {}
    for competitor in LINEUP:
        lives = [one[competitor.name] for one in rounds if "error" not in one.get(competitor.name, {"error": ""})]
        if lives and competitor.name == LIMIT:
            found[LIMIT] = {name: rounded(summary([life[name] for life in lives])) for name in ("throughput", "alone")}
        elif lives:
            found[competitor.name] = life_of(lives)
    return found


def life_of(lives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The lives of one competitor in all rounds."""
    levels: dict[str, Any] = {}
    for level in lives[0]["levels"]:
        cells = [life["levels"][level] for life in lives]
        levels[level] = {
            name: rounded(summary([cell[name] for cell in cells if cell[name] is not None])) for name in FIGURES
        }
        levels[level]["failures"] = sum(sum(cell["failures"].values()) for cell in cells)
    return {name: rounded(summary([life[name] for life in lives])) for name in ("first", "memory")} | {"levels": levels}


def rounded(found: Summary | None) -> list[float] | None:
    return None if found is None else [float(f"{value:.4g}") for value in found]


def results(
    plan: Plan,
    rounds: Rounds,
    refused: dict[str, str],
    bars: Sequence[Bar],
    settings: dict[str, Setting],
    facts: dict[str, Any],
    packages: Path,
) -> dict[str, Any]:
    """serving.json"""
    counted = [{name: one for name, one in found.items() if name not in refused} for found in rounds]
    others = [competitor.name for competitor in LINEUP if competitor.name not in (SERVER, LIMIT)]
    return {
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": commit(),
        "plan": plan._asdict(),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | versions(packages),
        "settings": settings,
        "settingsNotSearched": not_searched(),
        **facts,
        "medians": medians_of(rounds),
        "ratios": {name: rounded(rate_ratio(counted, name)) for name in others},
        "refused": refused,
        "bars": [
            {"name": bar.name, "wanted": wanted(bar), "found": rounded(bar.found), "met": bar.met} for bar in bars
        ],
    }


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    known = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines)}
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
    flags = known.get("flags", "").split()
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "processor": known.get("model name", platform.machine()),
        "features": [name for name in wanted if name in flags],
        "memoryGB": round(int(memory) * 1_024 / 1e9, 1),
        "kernel": platform.release(),
        "load": Path("/proc/loadavg").read_text().split()[:3],
    }


def versions(packages: Path) -> dict[str, str]:
    """What the competitors find: .venv comes first, `packages` after it."""
    places = [*sys.path, str(packages)]
    found = ((name, importlib.metadata.distributions(name=name, path=places)) for name in (*PACKAGES, *OPTIONAL))
    return {name: next((one.version for one in matching), "absent") for name, matching in found}


def commit() -> str:
    """The commit that was measured, with "+" when the tree differs from it; "" where there is no git."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    except OSError:
        return ""


def wanted(bar: Bar) -> str:
    return f"{'>=' if bar.at_least else '<='} {bar.wanted:g} {bar.unit}"


def show(console: Console, found: dict[str, Any], bars: Sequence[Bar]) -> None:
    """Both tables."""
    console.print(figures_table(found))
    console.print(bars_table(bars))
    if found["settingsNotSearched"]:
        console.print(
            f"[bold red]settings given by hand[/]: {', '.join(found['settingsNotSearched'])}; TUNE=1 searches them"
        )
    for name, why in found["refused"].items():
        console.print(f"[bold red]not counted[/]: {name}: ", end="")
        console.print(why, markup=False, highlight=False)


def figures_table(found: dict[str, Any]) -> Table:
    """A line for each competitor and concurrency."""
    plan = found["plan"]
    table = Table(
        title=f"POST /validate, 640 x 480 JPEG, two processors: medians of {plan['rounds']} rounds (lowest to highest)"
    )
    table.add_column("competitor")
    names = ("clients", "requests/s", "p50 ms", "p99 ms", "failed", "load's CPU %", "first answer s", "peak MB")
    for name in names:
        table.add_column(name, justify="right")
    for competitor in LINEUP:
        for row in rows_of(competitor, found["medians"].get(competitor.name)):
            table.add_row(*row)
        table.add_section()
    return table


def rows_of(competitor: Competitor, median: dict[str, Any] | None) -> list[list[str]]:
    title = f"({competitor.letter}) {competitor.title}"
    if median is None:
        return [[title, *["-"] * 8]]
    if competitor.name == LIMIT:
        alone = shown(median["alone"], 1)
        return [[title, "-", shown(median["throughput"], 0), f"alone {alone}", *["-"] * 5]]
    rows = []
    for level, cell in median["levels"].items():
        life = [shown(median["first"], 2), shown(median["memory"], 0)] if not rows else ["", ""]
        share = f"{100 * cell['processor'][0]:.0f}"
        figures = [shown(cell["rate"], 0), shown(cell["p50"], 1), shown(cell["p99"], 0)]
        rows.append([title if not rows else "", level, *figures, str(cell["failures"]), share, *life])
    return rows


def shown(figure: Sequence[float] | None, digits: int) -> str:
    """Median (lowest to highest)."""
    if figure is None:
        return "-"
    median, low, high = (f"{value:.{digits}f}" for value in figure)
    return median if low == high else f"{median} ({low}-{high})"


def bars_table(bars: Sequence[Bar]) -> Table:
    table = Table(title="bars")
    for name in ("bar", "wanted", "found"):
        table.add_column(name)
    table.add_column("")
    for bar in bars:
        verdict = "[green]met[/]" if bar.met else "[red]NOT met[/]"
        figure = "not counted" if bar.found is None else f"{shown(bar.found, 2)} {bar.unit}"
        table.add_row(bar.name, wanted(bar), figure, verdict)
    return table
