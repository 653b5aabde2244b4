"""The table of states in ARCHITECTURE.md: scenes played on the operator's own decisions, printed as Markdown.

`python tests/contract/states.py` writes it anew (with PYTHONPATH=tests, as `make sync` does).
"""

import re
from collections.abc import Callable
from pathlib import Path

from autotrain_api.names import Reason
from operator_world import World

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
MARKS = re.compile(r"(<!-- states -->\n).*?(<!-- /states -->)", re.DOTALL)
CONDITIONS = ("ConfigValid", "Trained", "GatePassed", "RolledOut", "Available", "Ready", "Stalled")


def new() -> World:
    return World().settle()


def served(**sections: object) -> World:
    return World(**sections).settle().trains().rolls_out()


def foreign_service() -> World:
    world = World()
    world.seen.service = {"kind": "Service", "metadata": {"name": "flowers", "uid": "x", "labels": {}}, "spec": {}}
    return world.settle()


def pinned() -> World:
    world = served()
    first = world.revision
    world.edit(training={"epochs": 3}).trains().rolls_out()
    return world.edit(serving={"revision": first}).rolls_out()


def rolled_back() -> World:
    world = served().edit(training={"epochs": 3}).trains()
    return world.pods_say(Reason.BUNDLE_ALTERED, "model.onnx").rollout_stands_still(ready=1).rolls_out()


def short_of_replicas() -> World:
    world = served(serving={"replicas": 2})
    world.deployment["status"] |= {"readyReplicas": 1, "availableReplicas": 1}
    return world.settle()


LEARNED = {
    "functions": {"configMapRef": {"name": "own"}},
    "preprocessing": {"function": "grey"},
}

STATES: dict[str, Callable[[], World]] = {
    "new, no pod runs yet": new,
    "the image cannot be pulled": lambda: new().pod_waits("ImagePullBackOff"),
    "first training": lambda: new().training_starts(),
    "crashed, waiting for the next attempt": lambda: new().training_starts().training_ends(1, "", "Error"),
    "trained, first rollout": lambda: new().trains(),
    "served": served,
    "served, a replica is missing": short_of_replicas,
    "retraining behind a served model": lambda: served().edit(training={"epochs": 3}).training_starts(),
    "rolling out a new revision": lambda: served().edit(training={"epochs": 3}).trains(),
    "going back to an earlier revision": lambda: (
        served().edit(training={"epochs": 3}).trains().rolls_out().edit(training={"epochs": 20})
    ),
    "pinned to an earlier revision": pinned,
    "pinned to a revision that does not exist": lambda: served().edit(serving={"revision": "v1-0123456789"}),
    "training failed, nothing served": lambda: new().fails(),
    "training failed, an earlier model is served": lambda: served().edit(training={"epochs": 3}).fails(),
    "gate refused, nothing served": lambda: World(gate={"min": 0.99}).settle().trains(),
    "gate refused, an earlier model is served": lambda: (
        served().edit(gate={"min": 0.99}, training={"epochs": 3}).trains()
    ),
    "first rollout failed": lambda: new().trains().rollout_stands_still(),
    "rolled back": rolled_back,
    "suspended, nothing served": lambda: World(suspend=True).settle(),
    "suspended behind a served model": lambda: served().edit(suspend=True, training={"epochs": 3}),
    "serving disabled, trained": lambda: World(serving={"enabled": False}).settle().trains(),
    "unknown backbone": lambda: World(model={"backbone": "resnet81"}).settle(),
    "unknown backbone, an earlier model is served": lambda: served().edit(model={"backbone": "resnet81"}),
    "its own functions are missing": lambda: World(**LEARNED).settle(),
    "a name is taken by somebody else's object": foreign_service,
}


def table() -> str:
    """Markdown: a row a state, True as a bare reason, the others with their status."""
    head = f"| state | phase | {' | '.join(CONDITIONS)} |\n|{'---|' * (len(CONDITIONS) + 2)}\n"
    return head + "".join(row(name, scene()) for name, scene in STATES.items())


def row(name: str, world: World) -> str:
    cells = []
    for condition in CONDITIONS:
        status, reason = world.condition(condition)
        mark = {"True": "✓", "False": "✗", "Unknown": "?"}[status]
        cells.append(f"{mark} {reason}")
    return f"| {name} | {world.status.phase} | {' | '.join(cells)} |\n"


def written() -> str:
    """ARCHITECTURE.md as it should be."""
    return MARKS.sub(lambda match: f"{match[1]}{table()}{match[2]}", ARCHITECTURE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    ARCHITECTURE.write_text(written(), encoding="utf-8")
