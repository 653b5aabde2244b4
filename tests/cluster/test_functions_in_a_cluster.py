"""The job's own functions in a cluster: the ConfigMap may come later, and its content counts."""

import json

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, said

pytestmark = pytest.mark.cluster
REFERENCE = {"configMapRef": {"name": "flowers-functions", "key": "custom_functions.py"}}


def path(world: World, name: str = "") -> str:
    return f"/api/v1/namespaces/{world.namespace}/configmaps{name}"


async def write(world: World, text: str) -> None:
    """Create or change the functions; the label lets the operator see it at once."""
    data = {"custom_functions.py": text}
    found = await world.kube.find("ConfigMap", world.namespace, "flowers-functions")
    if found is not None:
        await world.call(path(world, "/flowers-functions"), "PATCH", {"data": data}, "application/merge-patch+json")
        return
    metadata = {"name": "flowers-functions", "labels": {names.LABEL_JOB: "flowers"}}
    await world.call(path(world), "POST", {"metadata": metadata, "data": data})


async def test_a_job_begins_when_its_functions_are_there_and_learns_again_when_they_change(
    world: World, operator: Operator
):
    await world.apply(functions=REFERENCE, model={"head": {"function": "custom_head"}})
    waiting = await world.condition("Trained", "Unknown", "FunctionsMissing")
    assert said(waiting, "Trained")[2].startswith("there is no ConfigMap flowers-functions. Create it")

    await write(world, "first = 1")
    first = await world.ready()
    [job] = await world.every("Job")
    made = await world.kube.find("ConfigMap", world.namespace, job["metadata"]["name"])
    assert made is not None
    assert made["data"]["functions.py"] == "first = 1"
    await write(world, "second = 2")
    await world.until(lambda: _revision_is_not(world, first.revision), "another revision")
    second = await world.ready()

    assert second.revision != first.revision
    assert len(second.attempts) == 2


async def _revision_is_not(world: World, revision: str) -> bool:
    return (await world.status()).revision != revision


async def test_functions_that_finish_answers_are_mounted_and_rolled_out_again(world: World, operator: Operator):
    await write(world, "first = 1")
    await world.apply(functions=REFERENCE, serving={"postprocessing": {"function": "rename"}})
    first = await world.ready()
    deployment = await world.get("Deployment")
    await write(world, "second = 2")
    await world.until(lambda: _template_is_not(world, deployment), "another template")
    second = await world.ready()

    assert second.revision == first.revision
    assert len(second.attempts) == 1


async def _template_is_not(world: World, before: dict[str, object]) -> bool:
    now = await world.get("Deployment")
    return json.dumps(now["spec"]["template"]) != json.dumps(before["spec"]["template"])  # type: ignore[index]
