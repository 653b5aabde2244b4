"""Who competes: the command of each, and the settings that are searched for it."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SETTINGS = Path(__file__).with_name("settings.json")
COMPETITORS = "benchmarks.serving.competitors"
Setting = dict[str, int]
"""threads, batch, workers, fast_queue: each goes to the competitor as BENCH_<NAME>."""

THREADS = {"threads": (1, 2)}
BATCH = {"batch": (1, 8)}
WORKERS = {"workers": (1, 2)}
FAST_QUEUE = {"fast_queue": (0, 1)}


class Competitor(NamedTuple):
    name: str
    letter: str
    title: str
    axes: dict[str, tuple[int, ...]]
    """Setting -> the values that are tried."""

    def settings(self) -> Iterator[Setting]:
        """Every combination of its axes."""
        for values in itertools.product(*self.axes.values()):
            yield dict(zip(self.axes, values, strict=True))

    def command(self, setting: Setting, port: int, bundle: Path) -> list[str]:
        """What starts it on 127.0.0.1:`port`."""
        module = f"{COMPETITORS}.{self.name.replace('-', '_')}"
        if self.name in ("server", "server-int8"):
            precision = ["--precision", "Int8"] if self.name == "server-int8" else []
            return [
                sys.executable,
                "-m",
                "autotrain_server",
                "--bundle",
                str(bundle),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                *precision,
            ]
        if self.name.startswith("litserve") or self.name == "limit":
            return [sys.executable, "-m", module]
        options = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(setting.get("workers", 1))]
        return [sys.executable, "-m", "uvicorn", f"{module}:app", *options, "--log-level", "warning", "--no-access-log"]


LINEUP = (
    Competitor("seed", "a", "the seed's way: file on disk, fastai", THREADS | WORKERS),
    Competitor("fastapi-torch", "b", "FastAPI + torch eager", THREADS | WORKERS),
    Competitor("litserve-torch", "c", "LitServe + torch eager", THREADS | BATCH | WORKERS | FAST_QUEUE),
    Competitor("litserve-openvino", "d", "LitServe + OpenVINO", THREADS | BATCH | WORKERS | FAST_QUEUE),
    Competitor("server", "e", "this server", {}),
    Competitor("server-int8", "h", "this server in eight bits", {}),
    Competitor("limit", "f", "limit: decode + forward, no HTTP", THREADS | BATCH | WORKERS),
    Competitor("noop", "g", "no-op that parses the upload", WORKERS),
)
"""This server has nothing to search: its defaults count, as users get them."""


def chosen_settings() -> dict[str, Setting]:
    """Competitor -> the settings that count."""
    return {name: entry["chosen"] for name, entry in _entries(SETTINGS).items()}


def not_searched(settings: Path = SETTINGS) -> list[str]:
    """Competitors whose settings were given by hand, so that better ones may exist."""
    return [name for name, entry in _entries(settings).items() if not entry.get("tried")]


def _entries(settings: Path) -> dict[str, Any]:
    return dict(json.loads(settings.read_text(encoding="utf-8")))
