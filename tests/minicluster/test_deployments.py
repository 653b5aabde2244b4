"""Deployments, ReplicaSets and Services with real processes."""

import asyncio
from typing import Any

import aiohttp

from minicluster.api import Object
from minicluster.world import World, condition, deployment_spec, has, shell, state, web

SERVICE = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8000, "targetPort": "http"}]}
NO_GAP = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def answering(text: str, **more: Any) -> Object:
    return web(env=[{"name": "ANSWER", "value": text}], **more)


def complete(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    return (
        has("Progressing", reason="NewReplicaSetAvailable")(deployment)
        and status["observedGeneration"] == deployment["metadata"]["generation"]
        and status.get("updatedReplicas") == deployment["spec"]["replicas"]
    )


def with_template(world: World, container: Object, **more: Any) -> None:
    change = {"template": {"spec": {"containers": [container]}}, **more}
    world.api.patch("Deployment", "default", "web", {"spec": change})


async def ask(session: aiohttp.ClientSession, address: str) -> str:
    async with session.get(f"http://{address}:8000/") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_a_rolling_update_loses_no_request(world: World) -> None:
    drain = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
    world.create("Deployment", "web", deployment_spec(answering("old", **drain), strategy=NO_GAP))
    address = world.create("Service", "web", SERVICE)["spec"]["clusterIP"]
    await world.until("Deployment", complete)
    old = [pod["metadata"]["name"] for pod in world.pods()]
    answers, stop = [], asyncio.Event()

    async def ask_until_stopped() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while not stop.is_set():
                answers.append(await ask(session, address))

    asking = asyncio.create_task(ask_until_stopped())
    with_template(world, answering("new", **drain))
    await world.until("Deployment", lambda item: complete(item) and item["status"]["replicas"] == 2)
    for name in old:
        await world.until_gone("Pod", name)
    stop.set()
    await asking

    assert answers[0] == "old"
    assert answers[-1] == "new"
    first = world.get("Deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert first == "2"
    assert any("Scaled down replica set" in message for message in world.events("ScalingReplicaSet"))


async def test_a_service_without_ready_pods_refuses_connections(world: World) -> None:
    unready = {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}
    world.create("Deployment", "web", deployment_spec(answering("never", **unready), replicas=1))
    address = world.create("Service", "web", SERVICE)["spec"]["clusterIP"]
    await world.until("Pod", lambda pod: state(pod, "running"))

    try:
        await asyncio.open_connection(address, 8000)
    except ConnectionRefusedError:
        refused = True
    else:
        refused = False

    assert refused
    slices = world.api.list("EndpointSlice", "default", {"kubernetes.io/service-name": "web"})
    assert [endpoint["conditions"]["ready"] for endpoint in slices[0]["endpoints"]] == [False]


async def test_new_connections_go_to_the_ready_pods_in_turn(world: World) -> None:
    named = web(env=[{"name": "ANSWER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
    world.create("Deployment", "web", deployment_spec(named))
    address = world.create("Service", "web", SERVICE)["spec"]["clusterIP"]
    await world.until("Deployment", complete)
    await world.until("EndpointSlice", lambda one: sum(e["conditions"]["ready"] for e in one["endpoints"]) == 2)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        answers = [await ask(session, address) for _ in range(4)]

    assert len(set(answers[:2])) == 2
    assert answers[:2] == answers[2:]


async def test_a_rollout_that_never_gets_ready_is_over_its_deadline_and_the_old_pods_serve_on(world: World) -> None:
    spec = deployment_spec(answering("old"), replicas=1, strategy=NO_GAP, progressDeadlineSeconds=1)
    world.create("Deployment", "web", spec)
    await world.until("Deployment", complete)

    with_template(world, shell("exit 65", readinessProbe={"exec": {"command": ["true"]}, "initialDelaySeconds": 100}))
    late = await world.until("Deployment", has("Progressing", "False", "ProgressDeadlineExceeded"))

    assert condition(late, "Available")["status"] == "True"
    assert late["status"]["availableReplicas"] == 1
    assert late["status"]["unavailableReplicas"] == 1

    with_template(world, answering("old"))
    back = await world.until(
        "Deployment", lambda item: complete(item) and not item["status"].get("unavailableReplicas")
    )
    assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len(world.api.list("ReplicaSet", "default")) == 2


async def test_recreate_starts_new_pods_only_when_the_old_ones_are_gone(world: World) -> None:
    world.create("Deployment", "web", deployment_spec(answering("old"), replicas=1, strategy={"type": "Recreate"}))
    await world.until("Deployment", complete)
    [first] = world.pods()
    running = []
    world.api.store.listeners.append(
        lambda resource, event: (
            running.append([pod["metadata"]["name"] for pod in world.pods()])
            if (resource.kind, event.type) == ("Pod", "ADDED")
            else None
        )
    )

    with_template(world, answering("new"))
    await world.until("Pod", lambda pod: pod["metadata"]["name"] != first["metadata"]["name"] and has("Ready")(pod))

    assert [len(names) for names in running] == [1]


async def test_scaling_to_nothing_ends_every_pod(world: World) -> None:
    world.create("Deployment", "web", deployment_spec(answering("here")))
    await world.until("Deployment", complete)

    world.api.patch("Deployment", "default", "web", {"spec": {"replicas": 0}})
    idle = await world.until("Deployment", lambda item: not item["status"].get("replicas"))

    assert idle["status"].get("readyReplicas") is None
    for pod in world.pods():
        await world.until_gone("Pod", pod["metadata"]["name"])


async def test_only_as_many_old_replica_sets_are_kept_as_wanted(world: World) -> None:
    world.create("Deployment", "web", deployment_spec(answering("0"), replicas=1, revisionHistoryLimit=1))
    await world.until("Deployment", complete)
    for text in ("1", "2"):
        with_template(world, answering(text))
        await world.until(
            "Deployment",
            lambda item: (
                complete(item) and item["status"]["replicas"] == 1 and not item["status"].get("unavailableReplicas")
            ),
        )

    for _ in range(50):
        if len(sets := world.api.list("ReplicaSet", "default")) == 2:
            break
        await asyncio.sleep(0.05)
    assert sorted(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in sets) == ["2", "3"]


async def test_a_pod_is_available_only_after_its_minimum_time(world: World) -> None:
    world.create("Deployment", "web", deployment_spec(answering("here"), replicas=1, minReadySeconds=1))

    ready = await world.until("Deployment", lambda item: item.get("status", {}).get("readyReplicas"))
    assert ready["status"].get("availableReplicas") is None

    assert (await world.until("Deployment", complete))["status"]["availableReplicas"] == 1
