"""`python -m autotrain_server.trying`: own functions, tried with nothing to import but what a serving pod has.

A trainer asks on standard input, a JSON `Trial`, and reads one line of JSON: {"error": null}, or what went wrong.
"""

import importlib.machinery
import importlib.metadata
import json
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from pydantic import BaseModel

from autotrain_api.trainingjob import FunctionCall
from autotrain_server.functions import FunctionError, load_functions, postprocessor, preprocessor

SERVER = "autotrain-server"


class Trial(BaseModel):
    source: str
    file: str
    height: int
    width: int
    preprocess: str = ""
    postprocess: FunctionCall | None = None
    answer: dict[str, Any] = {}
    """What the untrained model answers."""


class OnlyServed:
    """A finder of modules, asked first: what a serving pod does not have is not there."""

    def __init__(self, missing: frozenset[str]) -> None:
        self._missing = missing

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in self._missing:
            raise ModuleNotFoundError(f"serving pods have no module {name!r}", name=name)
        return None


def served_distributions() -> set[str]:
    """The server's distribution and everything that it requires."""
    found: set[str] = set()
    waiting = [SERVER]
    while waiting:
        name = canonical(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = [Requirement(text) for text in required]
        waiting += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def not_served() -> frozenset[str]:
    """Modules that are installed here, and in no serving pod."""
    served = served_distributions()
    owners = importlib.metadata.packages_distributions()
    missing = {module for module, names in owners.items() if not served & {canonical(name) for name in names}}
    others = {canonical(one.name) for one in importlib.metadata.distributions() if one.name} - served
    return frozenset(missing | {name.replace("-", "_") for name in others if name.startswith("autotrain-")})


def canonical(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def trial_of(trial: Trial) -> None:
    """Load the file, and call what serves once. Raises FunctionError."""
    functions = load_functions(trial.source, trial.file)
    if trial.preprocess:
        noise = np.random.default_rng(0).integers(0, 256, (trial.height, trial.width, 3), dtype=np.uint8)
        preprocessor(functions, trial.preprocess, trial.height, trial.width)(noise)
    if (post := trial.postprocess) is not None:
        postprocessor(functions, post.function, post.args)(trial.answer)


def main() -> None:
    trial = Trial.model_validate_json(sys.stdin.read())
    output, sys.stdout = sys.stdout, sys.stderr  # what functions print is not the answer
    sys.meta_path.insert(0, OnlyServed(not_served()))
    try:
        trial_of(trial)
        error = None
    except FunctionError as problem:
        error = str(problem)
    json.dump({"error": error}, output)


if __name__ == "__main__":
    main()
