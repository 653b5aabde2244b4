"""Models in an object store: from the Secret to the answer, with the real server and a real S3 API."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from cluster.operating import Operator
from cluster.world import World, playing, said
from object_store import ENVIRONMENT, Bucket, moto

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
SERVING = {"image": "autotrain/server:test", "env": [{"name": "AUTOTRAIN_LOG_LEVEL", "value": "ERROR"}]}
OUTPUT = {"uri": "s3://lab/some%20models", "secretRef": {"name": "store-keys"}}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with moto() as made:
        yield made


async def give_keys(world: World, bucket: Bucket) -> None:
    keys = {**ENVIRONMENT, "AWS_ENDPOINT_URL": bucket.endpoint, "AWS_SESSION_TOKEN": "told-to-nobody"}
    secret = {"metadata": {"name": "store-keys"}, "stringData": keys}
    await world.call(f"/api/v1/namespaces/{world.namespace}/secrets", "POST", secret)


async def test_a_model_goes_into_the_store_and_is_served_from_there(world: World, operator: Operator, bucket: Bucket):
    await give_keys(world, bucket)
    await world.apply(data=playing("real"), output=OUTPUT, serving=SERVING)
    status = await world.ready()
    home = f"some models/{world.namespace}/flowers"
    written = [await world.get(), *await world.kube.events(world.namespace, (await world.get())["metadata"]["uid"])]
    for kind in ("Job", "Pod", "ConfigMap", "Deployment"):
        written += await world.every(kind)

    assert status.serving.loaded_sha256
    assert f"{home}/{status.revision}/manifest.json" in bucket.keys(home)
    assert await world.names_of("PersistentVolumeClaim") == []
    assert "told-to-nobody" not in json.dumps(written)

    await world.delete()
    await world.gone()
    assert f"{home}/{status.revision}/manifest.json" in bucket.keys(home)


async def test_serving_pods_wait_for_their_secret(world: World, operator: Operator, bucket: Bucket):
    await give_keys(world, bucket)
    await world.apply(data=playing("real"), output=OUTPUT, serving={**SERVING, "enabled": False})
    await world.condition("Trained", "True")
    await world.call(f"/api/v1/namespaces/{world.namespace}/secrets/store-keys", "DELETE", {})
    await world.edit(serving={"enabled": True})
    waiting = said(await world.condition("RolledOut", "False", "ContainerConfigError"), "RolledOut")[2]
    await give_keys(world, bucket)
    status = await world.ready()

    assert "store-keys" in waiting
    assert len(status.attempts) == 1


async def test_a_bundle_that_was_altered_in_the_store_is_named_and_never_served(
    world: World, operator: Operator, bucket: Bucket
):
    await give_keys(world, bucket)
    await world.apply(data=playing("real"), output=OUTPUT, serving={**SERVING, "enabled": False})
    status = await world.condition("Trained", "True")
    key = f"some models/{world.namespace}/flowers/{status.revision}/model.onnx"
    content = bytearray(await asyncio.to_thread(bucket.get, key))
    content[len(content) // 2] ^= 1
    bucket.put(key, bytes(content))
    await world.edit(serving={"enabled": True})
    told = await world.condition("RolledOut", "False", "BundleAltered")

    assert "model.onnx" in said(told, "RolledOut")[2]
    assert not (await world.get("Deployment"))["status"].get("readyReplicas")
