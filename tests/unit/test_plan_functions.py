"""Own functions, as scenes: when they are missing, when they count as another model, and what the pods get of them."""

import json

import pytest
import yaml

from autotrain_api.names import Reason
from autotrain_operator import plan
from autotrain_operator.context import Create
from operator_world import SETTINGS, World

OWN = {"functions": {"configMapRef": {"name": "own", "key": "a.py", "servingKey": "b.py"}}}
LEARNED = OWN | {"preprocessing": {"function": "grey"}}
FINISHED = OWN | {"serving": {"postprocessing": {"function": "rename", "args": {"a": 1}}}}


def with_functions(world: World, **data: str) -> World:
    world.seen.functions = {"kind": "ConfigMap", "metadata": {"name": "own"}, "data": data}
    return world.settle()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "there is no ConfigMap own. Create it, or correct spec.functions.configMapRef."),
        ({}, "ConfigMap own has no key a.py in its data; it has none"),
        ({"a.py": "", "c.py": ""}, "ConfigMap own has no key b.py in its data; it has a.py, c.py"),
    ],
)
def test_functions_that_are_missing_are_waited_for(data: dict[str, str] | None, said: str) -> None:
    world = World(**LEARNED).settle() if data is None else with_functions(World(**LEARNED), **data)
    [trained] = [one for one in world.status.conditions if one.type == "Trained"]

    assert world.condition("Trained") == ("Unknown", Reason.FUNCTIONS_MISSING)
    assert said in trained.message
    assert (world.created, world.requeue_after) == ([], 10)
    assert world.jobs_created() == 0
    assert with_functions(world, **{"a.py": "1", "b.py": "2"}).trains().rolls_out().status.phase == "Ready"


def test_functions_that_are_learned_with_are_part_of_the_revision() -> None:
    world = with_functions(World(**LEARNED), **{"a.py": "1", "b.py": "2"}).trains().rolls_out()
    first = world.revision
    with_functions(world, **{"a.py": "1", "b.py": "3"})

    assert world.revision != first
    assert world.condition("Available") == ("True", Reason.SERVING_EARLIER)
    with_functions(world, **{"a.py": "1", "b.py": "2", "c.py": "3"})
    assert (world.revision, world.condition("Ready")) == (first, ("True", Reason.AS_DESIRED))


def test_functions_that_only_finish_answers_train_nothing_and_roll_out_again() -> None:
    world = with_functions(World(**FINISHED), **{"a.py": "1", "b.py": "2"}).trains().rolls_out()
    assert world.seen.deployment is not None
    before, first = json.dumps(world.seen.deployment["spec"]), world.revision
    with_functions(world, **{"a.py": "1", "b.py": "3"})

    assert (world.revision, world.jobs_created()) == (first, 1)
    assert world.status.phase == "RollingOut"
    assert json.dumps(world.seen.deployment["spec"]) != before
    pod = world.seen.deployment["spec"]["template"]["spec"]
    items = [{"key": "b.py", "path": "functions.py"}]
    assert {"name": "functions", "configMap": {"name": "own", "items": items}} in pod["volumes"]
    [container] = pod["containers"]
    assert {"name": "AUTOTRAIN_FUNCTIONS", "value": "/etc/autotrain/functions/functions.py"} in container["env"]
    assert world.rolls_out().status.phase == "Ready"


def test_an_attempt_s_configuration_holds_the_functions() -> None:
    world = World(**LEARNED, serving={"postprocessing": {"function": "rename", "args": {"a": 1}}})
    world.seen.functions = {"data": {"a.py": "training", "b.py": "serving"}}
    first = plan.next_step(world.obj, world.seen, SETTINGS, world.now)
    [job] = [action.body for action in first.training if isinstance(action, Create) and action.body["kind"] == "Job"]
    world.obj["status"] = first.status.to_dict()
    world.seen.jobs = [job | {"metadata": job["metadata"] | {"uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"}}]
    step = plan.next_step(world.obj, world.seen, SETTINGS, world.now)
    [made] = [
        action.body for action in step.training if isinstance(action, Create) and action.body["kind"] == "ConfigMap"
    ]
    run = yaml.safe_load(made["data"]["run.yaml"])

    assert made["data"]["functions.py"] == "training"
    assert made["data"]["serving_functions.py"] == "serving"
    assert run["functionsFile"] == "/etc/autotrain/functions.py"
    assert run["servingFunctionsFile"] == "/etc/autotrain/serving_functions.py"
    assert run["servingFunction"] == {"function": "rename", "args": {"a": 1}}
    assert len(run["recipe"]["functionsSha256"]) == 64
