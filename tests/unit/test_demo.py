"""The demo's verdict and what it reads out of a status; the demo itself runs in tests/e2e."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def demo() -> Iterator[Any]:
    sys.path.insert(0, str(EXAMPLES))
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(EXAMPLES))


@pytest.mark.parametrize(
    ("right", "promised", "good"),
    [
        (200, 1.0, True),
        (198, 1.0, True),
        (194, 0.98, True),
        (187, 0.94, True),
        (185, 0.94, False),
        (187, 0.995, False),
    ],
    ids=[
        "all of them",
        "two mistakes of a flawless model",
        "a little below the promise",
        "just enough",
        "below the bar",
        "far below the promise",
    ],
)
def test_a_model_has_to_keep_its_promise_and_reach_the_bar(demo: Any, right: int, promised: float, good: bool):
    answers = [demo.Answer(Path("x.png"), "3", 0.9, "3" if number < right else "5") for number in range(200)]

    assert demo.judge(answers, {"best": promised, "samples": 320}, least=0.93) is good


def test_a_condition_that_is_not_there_is_unknown(demo: Any):
    status = {"conditions": [{"type": "Ready", "status": "False"}]}

    assert demo.condition(status, "Ready") == "False"
    assert demo.condition(status, "Stalled") == demo.condition({}, "Ready") == "Unknown"


def test_the_same_progress_is_told_once(demo: Any, capsys: pytest.CaptureFixture[str]):
    status = {"phase": "Training", "progress": {"percent": 45, "message": "training: epoch 5 of 10"}}

    shown = demo.show(status, demo.show(status, ""))

    assert shown == "Training     45 %  training: epoch 5 of 10"
    assert capsys.readouterr().out.count("epoch 5 of 10") == 1


@pytest.mark.parametrize(
    ("namespaces", "watched"),
    [("", True), ("lab,autotrain-demo", True), ("lab", False)],
    ids=["all namespaces", "the demo's, too", "another one"],
)
def test_an_operator_is_used_when_it_sees_the_demo_s_namespace(demo: Any, namespaces: str, watched: bool):
    container = {"env": [{"name": "HOME", "value": "/tmp"}, {"name": "AUTOTRAIN_NAMESPACES", "value": namespaces}]}
    operator = {"spec": {"template": {"spec": {"containers": [container]}}}}

    assert sys.modules["demo_cluster"].watches(operator, "autotrain-demo") is watched
