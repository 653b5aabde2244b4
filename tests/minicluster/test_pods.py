"""The kubelet with real processes: files, variables, probes, restarts, endings."""

import base64
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from minicluster.api import ApiError, Object
from minicluster.kubelet import rooms
from minicluster.world import QUICK, World, has, shell, state, template, web


def create_pod(world: World, container: Object, restart: str = "Never", **spec: Any) -> None:
    world.create("Pod", "one", template(container, restart, **spec)["spec"])


async def ended(world: World) -> Object:
    return await world.until("Pod", lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"), "one")


async def message_of(world: World, script: str, *, volumes: list[Object] | None = None, **container: Any) -> str:
    """What a script writes to /dev/termination-log."""
    create_pod(world, shell(f"({script}) > /dev/termination-log 2>&1", **container), volumes=volumes or [])
    return str(state(await ended(world), "terminated")["message"])


async def test_variables_come_from_everywhere_and_refer_to_each_other(world: World) -> None:
    world.create("ConfigMap", "settings", data={"colour": "red", "size": "big"})
    world.create("Secret", "key", data={"token": base64.b64encode(b"hidden").decode()})
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "BOTH", "value": "$(POD)-$(TOKEN)-$$(POD)-$(UNKNOWN)"},
        {"name": "MISSING", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}}},
    ]
    sources = [{"configMapRef": {"name": "settings"}, "prefix": "my_"}]

    said = await message_of(
        world,
        'echo "$my_colour $my_size $BOTH $CPUS ${MISSING-none}"',
        env=env,
        envFrom=sources,
        resources={"limits": {"cpu": "1500m"}},
    )

    assert said == "red big one-hidden-$(POD)-$(UNKNOWN) 2 none\n"


async def test_a_missing_secret_holds_the_container_up_until_it_comes(world: World) -> None:
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}}]
    create_pod(world, shell("exit 0", env=env))

    waiting = await world.until("Pod", lambda pod: state(pod, "waiting").get("reason") == "CreateContainerConfigError")
    assert state(waiting, "waiting")["message"] == 'secret "key" not found'
    world.create("Secret", "key", data={"token": ""})

    assert (await ended(world))["status"]["phase"] == "Succeeded"


async def test_files_come_from_config_maps_secrets_and_the_service_account(world: World) -> None:
    world.create("ConfigMap", "settings", data={"a": "first", "b": "second"})
    world.create("Secret", "key", data={"token": base64.b64encode(b"hidden").decode()})
    volumes: list[Object] = [
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "b", "path": "deep/b.txt"}]}},
        {"name": "key", "secret": {"secretName": "key"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts = [
        {"name": "settings", "mountPath": "/etc/settings"},
        {"name": "key", "mountPath": "/etc/key", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch"},
    ]
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = (
        f"cd {account}; cat /etc/settings/deep/b.txt /etc/key/token token namespace; ls /etc/settings; touch /scratch/x"
    )

    said = await message_of(world, script, volumes=volumes, volumeMounts=mounts)

    assert said == "secondhiddena tokendefaultdeep\n"


async def test_a_missing_config_map_keeps_the_pod_pending(world: World) -> None:
    create_pod(
        world,
        shell("exit 0", volumeMounts=[{"name": "settings", "mountPath": "/etc/settings"}]),
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}],
    )
    await world.until("Event", lambda event: event["reason"] == "FailedMount")
    assert state(world.get("Pod", "one"), "waiting")["reason"] == "ContainerCreating"

    world.create("ConfigMap", "settings", data={})

    assert (await ended(world))["status"]["phase"] == "Succeeded"


async def test_two_pods_share_a_claim_and_one_may_only_read(world: World) -> None:
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.create("PersistentVolumeClaim", "models", size)
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    mount: Object = {"name": "models", "mountPath": "/mnt/models"}
    writer = template(shell("echo weights > /mnt/models/bundle", volumeMounts=[mount]), "Never", volumes=[volume])
    world.create("Pod", "writer", writer["spec"])
    await world.until("Pod", lambda pod: pod["status"]["phase"] == "Succeeded", "writer")

    mounts = [{**mount, "readOnly": True}]
    said = await message_of(
        world, "cat /mnt/models/bundle; touch /mnt/models/mine || echo refused", volumes=[volume], volumeMounts=mounts
    )

    assert said.startswith("weights\n")
    assert said.endswith("refused\n")
    claim = world.get("PersistentVolumeClaim", "models")
    assert (claim["status"]["phase"], claim["spec"]["storageClassName"]) == ("Bound", "standard")


async def test_a_claim_of_an_unknown_class_stays_pending_and_says_why(world: World) -> None:
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.create("PersistentVolumeClaim", "models", {**size, "storageClassName": "fast"})

    await world.until("Event", lambda event: event["reason"] == "ProvisioningFailed")

    assert world.get("PersistentVolumeClaim", "models")["status"]["phase"] == "Pending"
    assert world.events("ProvisioningFailed") == ['storageclass.storage.k8s.io "fast" not found']


async def test_a_claim_in_use_outlives_its_deletion(world: World) -> None:
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    world.create("PersistentVolumeClaim", "models", size)
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    create_pod(world, shell("exec sleep 100"), volumes=[volume], terminationGracePeriodSeconds=1)
    await world.until("Pod", lambda pod: state(pod, "running"))

    world.api.delete("PersistentVolumeClaim", "default", "models")
    assert world.get("PersistentVolumeClaim", "models")["metadata"]["deletionTimestamp"]
    world.api.delete("Pod", "default", "one")

    await world.until_gone("PersistentVolumeClaim", "models")


async def test_an_unknown_image_is_backed_off_from(world: World) -> None:
    create_pod(world, {"name": "main", "image": "example.org/nothing:1"})

    pod = await world.until("Pod", lambda pod: state(pod, "waiting").get("reason") == "ImagePullBackOff")

    assert pod["status"]["phase"] == "Pending"
    assert "example.org/nothing:1" in state(pod, "waiting")["message"]


async def test_a_program_that_is_not_there_is_a_start_error(world: World) -> None:
    create_pod(world, {"name": "main", "image": "busybox", "command": ["no-such-program"]})

    terminated = state(await ended(world), "terminated")

    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)


async def test_a_crashing_container_is_started_again_after_longer_and_longer_times(world: World) -> None:
    create_pod(world, shell("echo attempt; exit 2"), "Always", terminationGracePeriodSeconds=1)

    pod = await world.until("Pod", lambda pod: state(pod, "waiting").get("reason") == "CrashLoopBackOff")
    status = pod["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 2
    assert pod["status"]["phase"] == "Running"

    await world.until("Pod", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 2)
    assert await world.log("one", previous=True) == "attempt\n"


async def test_on_failure_starts_again_until_success(world: World) -> None:
    volume = {"name": "scratch", "emptyDir": {}}
    mount = {"name": "scratch", "mountPath": "/scratch"}
    script = "test -e /scratch/again && exit 0; touch /scratch/again; exit 1"

    create_pod(world, shell(script, volumeMounts=[mount]), "OnFailure", volumes=[volume])

    pod = await ended(world)
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1


async def test_init_containers_run_first_and_in_order(world: World) -> None:
    volume = {"name": "scratch", "emptyDir": {}}
    mount = {"name": "scratch", "mountPath": "/scratch"}
    first = [{**shell(f"echo {name} >> /scratch/said", volumeMounts=[mount]), "name": name} for name in ("a", "b")]
    container = shell("cat /scratch/said > /dev/termination-log", volumeMounts=[mount])

    create_pod(world, container, volumes=[volume], initContainers=first)

    assert state(await ended(world), "terminated")["message"] == "a\nb\n"


async def test_a_failed_init_container_fails_a_pod_that_never_restarts(world: World) -> None:
    create_pod(world, shell("exit 0"), initContainers=[{**shell("exit 4"), "name": "first"}])

    pod = await ended(world)

    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert state(pod, "waiting")["reason"] == "PodInitializing"


async def test_sigterm_then_time_to_finish(world: World) -> None:
    create_pod(world, shell("trap 'echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done"))
    await world.until("Pod", lambda pod: state(pod, "running"))
    await until_log(world, "up")

    world.api.delete("Pod", "default", "one")
    last = await ended(world)

    assert last["metadata"]["deletionGracePeriodSeconds"] == 30
    assert (last["status"]["phase"], state(last, "terminated")["exitCode"]) == ("Succeeded", 0)
    await world.until_gone("Pod", "one")


async def test_sigkill_when_the_grace_period_is_over(world: World) -> None:
    create_pod(world, shell("trap '' TERM; while :; do sleep 0.05; done"), terminationGracePeriodSeconds=1)
    await world.until("Pod", lambda pod: state(pod, "running"))

    world.api.delete("Pod", "default", "one")

    last = await ended(world)
    assert (last["status"]["phase"], state(last, "terminated")["exitCode"]) == ("Failed", 137)


async def test_a_liveness_probe_that_fails_starts_the_container_again(world: World) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    create_pod(world, shell("exec sleep 100", livenessProbe=probe), "Always", terminationGracePeriodSeconds=1)

    pod = await world.until("Pod", lambda pod: pod["status"].get("containerStatuses", [{}])[0].get("restartCount"))

    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    assert "Container main failed liveness probe, will be restarted" in world.events("Killing")


async def test_a_pod_is_ready_only_when_its_startup_and_readiness_probes_say_so(world: World) -> None:
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 100}
    create_pod(world, web(startupProbe=startup), "Always", terminationGracePeriodSeconds=1)

    unready = await world.until("Pod", has("Ready", "False", "ContainersNotReady"))
    ready = await world.until("Pod", has("Ready"))

    assert unready["status"]["containerStatuses"][0]["started"] is False
    assert ready["status"]["containerStatuses"][0]["started"] is True


async def test_two_pods_listen_on_the_same_port_of_their_own_addresses(world: World) -> None:
    for name in ("one", "two"):
        world.create("Pod", name, template(web(), terminationGracePeriodSeconds=1)["spec"])
        await world.until("Pod", has("Ready"), name)

    addresses = {pod["status"]["podIP"] for pod in world.pods()}

    assert len(addresses) == 2
    assert all(address.startswith(world.machines.networks.pods) for address in addresses)


async def test_the_root_is_read_only_and_the_machine_untouched(world: World) -> None:
    said = await message_of(world, "touch /etc/mine || echo refused; touch /tmp/mine && echo allowed; echo $$$$")

    assert said.splitlines()[-2:] == ["allowed", "1"]
    assert "refused" in said


async def test_a_pod_that_does_not_run_has_no_log(world: World) -> None:
    create_pod(world, {"name": "main", "image": "nothing"})
    await world.until("Pod", lambda pod: state(pod, "waiting").get("reason") == "ImagePullBackOff")

    with pytest.raises(ApiError, match="is waiting to start: "):
        await world.log("one")


async def until_log(world: World, text: str) -> None:
    async for part in world.machines.kubelet.read_log(world.get("Pod", "one"), None, True):
        if text in part.decode():
            return


async def test_without_namespaces_paths_are_rewritten(tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, isolate=False)
    text = "output: file:///mnt/models/web\nother: /mnt/models2 a/mnt/models"
    mounts = [{"name": "models", "mountPath": "/mnt/models"}, {"name": "config", "mountPath": "/etc/mine"}]
    env = [{"name": "BUNDLE", "value": "/mnt/models/web"}]
    script = "cp /etc/mine/run.yaml $BUNDLE; echo $(POD_IP) > /dev/termination-log"

    async with World(tmp_path, settings) as world:
        world.create("ConfigMap", "config", data={"run.yaml": text})
        volumes = [{"name": "models", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}]
        create_pod(world, shell(script, volumeMounts=mounts, env=env), volumes=volumes)
        pod = await ended(world)
        models = tmp_path / "pods" / pod["metadata"]["uid"] / "volumes/models"
        written = (models / "web").read_text()

    assert pod["status"]["phase"] == "Succeeded"
    assert written == f"output: file://{models}/web\nother: /mnt/models2 a/mnt/models"


def test_a_program_below_a_mount_path_stays_where_it_is() -> None:
    kept = rooms.kept_folders()[0]
    below = str(Path(kept).parents[-2])
    mounts = [rooms.Mount(Path("/pod/volume"), below)]

    assert rooms.rewrite(f"{kept}/bin/python {below}/data", mounts) == f"{kept}/bin/python /pod/volume/data"
