"""Bundles that were altered: their pods never answer, the status names the file, and the old pods go on."""

import pytest

from autotrain_api import names
from cluster.operating import Operator
from cluster.world import World, playing, said

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
REAL = {"image": "autotrain/server:test", "env": [{"name": "AUTOTRAIN_LOG_LEVEL", "value": "ERROR"}]}
FILES = ["model.onnx", "manifest.json", "golden/scores.npy", "weights.safetensors"]


async def test_the_real_server_answers_from_a_whole_bundle(world: World, operator: Operator):
    await world.apply(data=playing("real"), serving=REAL)
    status = await world.ready()

    assert status.serving.ready_replicas == 1


@pytest.mark.parametrize("file", FILES)
async def test_a_flipped_byte_is_named_and_never_served_by_the_real_server(world: World, operator: Operator, file: str):
    await world.apply(data=playing(f"real-spoil {file}"), serving=REAL)
    status = await world.condition("RolledOut", "False", "BundleAltered")

    assert file in said(status, "RolledOut")[2]
    assert said(status, "Available")[:2] == ("False", "NotServing")
    assert status.phase == "Failed"
    assert not (await world.get("Deployment"))["status"].get("readyReplicas")


@pytest.mark.parametrize("pace", [pytest.param(1.0, id="")])
async def test_an_altered_bundle_is_rolled_back_and_can_be_tried_again(world: World, operator: Operator):
    await world.apply(policy={"deadlines": {"rolloutSeconds": 10}})
    first = await world.ready()
    await world.edit(data=playing("spoil model.onnx"))
    failing = await world.condition("RolledOut", "False", "BundleAltered")
    assert "model.onnx" in said(failing, "RolledOut")[2]
    assert said(failing, "Available")[:2] == ("True", "ServingEarlierRevision")
    assert (await world.ask())["revision"] == first.revision

    rolled_back = await world.condition("RolledOut", "False", "RolledBack")

    async def came_back() -> bool:  # the verdict is written before it is acted upon
        deployment = await world.get("Deployment")
        return bool(deployment["metadata"]["labels"][names.LABEL_REVISION] == first.revision)

    await world.until(came_back, "Deployment of the earlier revision")
    assert rolled_back.phase == "Degraded"
    assert rolled_back.failure is not None
    assert rolled_back.failure.reason == "BundleAltered"
    assert (await world.ask())["revision"] == first.revision

    mend(world, rolled_back.revision)
    await world.annotate(retry="mended")
    status = await world.ready()
    assert status.revision == rolled_back.revision
    assert (await world.ask())["revision"] == status.revision


def mend(world: World, revision: str) -> None:
    """Flip the byte back."""
    path = world.bundle(revision) / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def test_a_new_image_that_does_not_start_leaves_the_old_pods(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    await world.edit(serving={"image": "nowhere.invalid/none:1"})
    status = await world.condition("RolledOut", "False", "ImagePullFailed")

    assert (await world.ask())["revision"] == first.revision
    assert said(status, "Available")[0] == "True"
    await world.edit(serving={"image": None})
    await world.ready()


async def test_no_request_fails_while_a_new_revision_rolls_out(world: World, operator: Operator):
    await world.apply(serving={"replicas": 2})
    first = await world.ready()
    await world.edit(training={"seed": 2})
    answers = []
    while not answers or answers[-1] == first.revision:
        answers.append((await world.ask())["revision"])
        await operator.look()
    status = await world.ready()

    assert set(answers) == {first.revision, status.revision}
