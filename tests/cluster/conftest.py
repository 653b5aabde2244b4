"""A world per test: minicluster in this process, with stand-ins for trainer and server, or the cluster of --kubeconfig."""

import dataclasses
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes import aio

from cluster.operating import Operator
from cluster.world import World
from cluster.world import settings as operator_settings
from minicluster.cluster import MiniCluster
from minicluster.fixtures import refuse_if_not_for_tests
from minicluster.images import Image, autotrain_images
from minicluster.settings import Settings

STANDINS = Path(__file__).parent / "standins"
QUICK = Settings(
    seconds_factor=0.1, job_backoff_seconds=0.05, crash_backoff_seconds=0.05, pull_backoff_seconds=0.05, isolate=False
)


def images() -> dict[str, Image]:
    env = {
        "AUTOTRAIN_HOST": "$(POD_IP)",
        "AUTOTRAIN_TERMINATION_LOG": "/dev/termination-log",
        "PYTHONPATH": str(STANDINS.parents[1]),
    }
    standins = {
        f"/stand-in-{part}$": Image((sys.executable, str(STANDINS / f"{part}.py")), (), env)
        for part in ("trainer", "server")
    }
    return standins | autotrain_images()


async def client_of(kubeconfig: Path) -> aio.client.ApiClient:
    configuration = aio.client.Configuration()
    await aio.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    return aio.client.ApiClient(configuration)


@pytest.fixture
def pace() -> float:
    """What a second of a probe or a preStop sleep lasts in minicluster; a test may ask for another."""
    return QUICK.seconds_factor


@pytest.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path, pace: float) -> AsyncIterator[World]:
    given: Path | None = request.config.getoption("--kubeconfig")
    namespace = f"autotrain-{uuid.uuid4().hex[:8]}"
    if given is not None:
        refuse_if_not_for_tests(given)
        async with await client_of(given) as client:
            prefix: str = request.config.getoption("--images")
            there = World(client, namespace, operator_settings=operator_settings(prefix))
            try:
                await there.begin()
                yield there
            finally:
                await there.end()
        return
    settings = dataclasses.replace(QUICK, seconds_factor=pace)
    async with (
        MiniCluster(tmp_path / "cluster", images(), settings) as mini,
        await client_of(mini.kubeconfig) as client,
    ):
        there = World(client, namespace, mini)
        await there.begin()
        yield there


@pytest.fixture
async def operator(world: World) -> AsyncIterator[Operator]:
    async with Operator(world) as running:
        yield running
