"""Names that belong to somebody else: reported, and left byte for byte alone."""

import pytest

from autotrain_api.revision import recipe_of, revision_of
from autotrain_operator.validate import parse_spec
from cluster.operating import Operator
from cluster.world import Object, World, said, trainingjob

pytestmark = pytest.mark.cluster


def foreign(kind: str, namespace: str, name: str) -> Object:
    """An object of that name that has nothing to do with us."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "nowhere.invalid/none:1"}]}
    template = {"metadata": {"labels": {"app": "theirs"}}, "spec": pod}
    selector = {"matchLabels": {"app": "theirs"}}
    always = {**template, "spec": {**pod, "restartPolicy": "Always"}}
    versions = {
        "Service": ("v1", {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}),
        "Deployment": ("apps/v1", {"replicas": 0, "selector": selector, "template": always}),
        "PodDisruptionBudget": ("policy/v1", {"maxUnavailable": 1, "selector": selector}),
        "PersistentVolumeClaim": (
            "v1",
            {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        ),
        "Job": ("batch/v1", {"suspend": True, "template": template}),
        "ConfigMap": ("v1", None),
    }
    version, spec = versions[kind]
    body: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    return body if spec is None else body | {"spec": spec}


def taken_name(kind: str, namespace: str) -> str:
    """The name under which the operator would make a child of this kind."""
    revision = revision_of(recipe_of(parse_spec(trainingjob(namespace)["spec"])))
    names = {"Job": f"flowers-{revision}-1", "ConfigMap": f"flowers-{revision}-1"}
    return names.get(kind, "flowers-models" if kind == "PersistentVolumeClaim" else "flowers")


@pytest.mark.parametrize("kind", ["Service", "Deployment", "PodDisruptionBudget", "PersistentVolumeClaim", "Job"])
async def test_a_name_that_is_taken_is_reported_and_its_holder_left_alone(world: World, operator: Operator, kind: str):
    name = taken_name(kind, world.namespace)
    await world.kube.create(foreign(kind, world.namespace, name))
    await world.apply()
    status = await world.condition("Stalled", "True", "NameConflict")
    before = await world.get(kind, name)
    await operator.look()
    await operator.look()

    assert name in said(status, "Stalled")[2]
    assert kind in said(status, "Stalled")[2]
    assert await world.get(kind, name) == before
    assert await world.children() == []


@pytest.mark.parametrize("kind", ["Service", "Job"])
async def test_the_object_goes_on_when_the_name_is_free(world: World, operator: Operator, kind: str):
    name = taken_name(kind, world.namespace)
    await world.kube.create(foreign(kind, world.namespace, name))
    await world.apply()
    await world.condition("Stalled", "True", "NameConflict")
    await world.delete(kind, name)
    status = await world.ready()

    assert status.failure is None


async def test_a_service_with_our_labels_but_another_owner_is_left_alone(world: World, operator: Operator):
    body = foreign("Service", world.namespace, "flowers")
    body["metadata"]["labels"] = {
        "autotrain.dev/trainingjob": "flowers",
        "app.kubernetes.io/managed-by": "autotrain-operator",
    }
    await world.kube.create(body)
    await world.apply()
    await world.condition("Stalled", "True", "NameConflict")
    before = await world.get("Service")
    await operator.look()

    assert await world.get("Service") == before


async def test_a_claim_of_an_earlier_object_of_the_name_is_used_again(world: World, operator: Operator):
    await world.apply()
    first = await world.ready()
    claim = (await world.get("PersistentVolumeClaim", "flowers-models"))["metadata"]["uid"]
    await world.delete()
    await world.gone()
    await world.apply()
    second = await world.ready()

    assert (await world.get("PersistentVolumeClaim", "flowers-models"))["metadata"]["uid"] == claim
    assert second.serving.loaded_sha256 == first.serving.loaded_sha256


async def test_a_config_map_that_is_taken_is_left_alone_and_nothing_runs_with_it(world: World, operator: Operator):
    name = taken_name("ConfigMap", world.namespace)
    before = await world.kube.create(foreign("ConfigMap", world.namespace, name))
    await world.apply()
    status = await world.condition("Stalled", "True", "NameConflict")
    await operator.look()
    await operator.look()

    assert f"ConfigMap {name}" in said(status, "Stalled")[2]
    assert await world.get("ConfigMap", name) == before
    assert (await world.get("Job", name))["spec"]["suspend"] is True
    assert await world.names_of("Pod") == []
