"""The operator as it is installed: its own process, with the rights that the chart grants and no others."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from cluster.world import SETTINGS, World
from contract.chart import render

pytestmark = [pytest.mark.cluster, pytest.mark.minicluster]
RBAC = {kind: f"{kind.lower()}s" for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")}


async def grant(world: World, *options: str) -> str:
    """The chart's rights; a token that has them."""
    account = {"namespace": "", "name": ""}
    for item in render(*options):
        if item["kind"] in RBAC:
            place = f"namespaces/{item['metadata']['namespace']}/" if "namespace" in item["metadata"] else ""
            await world.call(f"/apis/rbac.authorization.k8s.io/v1/{place}{RBAC[item['kind']]}", "POST", item)
        if item["kind"].endswith("RoleBinding"):
            (account,) = item["subjects"]
    return world.mini.server.token_for(account["namespace"], account["name"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """The operator's process, to be started and killed again and again."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: str) -> None:
        self.log = log
        self._process: asyncio.subprocess.Process | None = None
        self._env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "AUTOTRAIN_TRAINER_IMAGE": SETTINGS.trainer_image,
            "AUTOTRAIN_SERVER_IMAGE": SETTINGS.server_image,
            "AUTOTRAIN_GPUS_PER_NODE": "0",
            "AUTOTRAIN_RESYNC_SECONDS": "5",
            "AUTOTRAIN_HOST": "127.0.0.1",
            "AUTOTRAIN_PORT": str(free_port()),
            **{f"AUTOTRAIN_{name.upper()}": value for name, value in settings.items()},
        }

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "autotrain_operator", env=self._env, stderr=log, stdout=log
            )

    async def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self._process.wait()


@asynccontextmanager
async def installed(world: World, folder: Path, *options: str, **settings: str) -> AsyncIterator[Process]:
    kubeconfig = folder / "operator.kubeconfig"
    world.mini.server.write_kubeconfig(kubeconfig, await grant(world, *options))
    process = Process(kubeconfig, folder / "operator.log", **settings)
    await process.start()
    try:
        yield process
    finally:
        await process.kill()


@pytest.fixture
async def process(world: World, tmp_path: Path) -> AsyncIterator[Process]:
    async with installed(world, tmp_path) as running:
        yield running


async def test_the_charts_rights_are_enough_for_a_whole_life(world: World, process: Process):
    await world.apply()
    first = await world.ready()
    await world.edit(training={"seed": 2})
    await world.ready()
    await world.edit(training={"seed": 17}, serving={"enabled": False})
    last = await world.ready()
    await world.delete()
    await world.gone()
    code = await process.terminate()

    log = process.log.read_text()
    assert last.revision == first.revision
    assert code == 0
    assert "Forbidden" not in log
    assert "forbidden" not in log
    assert '"exception"' not in log


async def test_a_watched_namespace_that_is_gone_does_not_stop_the_others(world: World, tmp_path: Path):
    rights = f"--set=watchNamespaces={{{world.namespace}}}"
    async with installed(world, tmp_path, rights, namespaces=f"gone,{world.namespace}") as process:
        await world.apply()
        await world.ready()
        log = process.log.read_text()

    assert "TrainingJobs of namespace gone cannot be listed" in log


@pytest.mark.parametrize("kills", [5, pytest.param(25, marks=pytest.mark.soak)])
async def test_kills_at_random_moments_change_nothing_in_the_end(world: World, process: Process, kills: int):
    random = Random(kills)
    made: list[str] = []
    await world.apply()
    others = [asyncio.create_task(one) for one in (note_jobs(world, made), keep_editing(world))]
    for _ in range(kills):
        await asyncio.sleep(random.uniform(0.5, 3.5))  # it takes a second to start
        await process.kill()
        await process.start()
    others.pop().cancel()
    status = await world.ready()
    others.pop().cancel()

    assert len(made) == len(set(made)) > 1
    assert all(name.endswith("-1") for name in made)
    assert len({one.revision for one in status.attempts}) == len(status.attempts)
    assert (await world.ask())["revision"] == status.revision
    await world.delete()
    await world.gone()


async def keep_editing(world: World) -> None:
    """Another revision as soon as one is ready."""
    seed = 100
    while True:
        await world.ready()
        seed += 1
        await world.edit(training={"seed": seed})


async def note_jobs(world: World, made: list[str]) -> None:
    """Names of all Jobs that are made from now on."""
    async for change in world.mini.api.subscribe("Job"):
        if change.type == "ADDED":
            made.append(change.object["metadata"]["name"])  # noqa: PERF401 - it has no end
