"""What operators of the server see: request ids, metrics, logs, overload, slow and vanished clients."""

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import onnx_bundle
from autotrain_server.admission import Admission, QueueFullError
from autotrain_server.batcher import Batcher
from autotrain_server.metrics import Metrics
from server_client import serving

RED = onnx_bundle.picture("red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "bundle"
    onnx_bundle.write_bundle(folder)
    return folder


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(folder) as client:
        yield client


# --- requests


@pytest.mark.parametrize("given", ["order-66", "a/b:c=1"])
async def test_a_request_id_comes_back(client, given):
    answer = await client.post("/validate", content=RED, headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "späß"])
async def test_a_request_without_a_sane_id_gets_one(client, given):
    answer = await client.get("/healthz", headers={"X-Request-ID": given.encode()})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


async def test_every_request_is_one_line_of_log_and_probes_are_quiet(client, caplog):
    caplog.set_level(logging.INFO, "autotrain_server.requests")
    await client.get("/readyz")
    await client.post("/validate", content=b"x", headers={"X-Request-ID": "7"})
    lines = [record for record in caplog.records if record.name == "autotrain_server.requests"]

    assert [(line.request_id, line.path, line.status) for line in lines] == [("7", "/validate", 415)]


@pytest.mark.parametrize("path", ["/validate", "/validate/", "/classification/validate", "/classification/validate/"])
async def test_a_slash_at_the_end_changes_nothing(client, path):
    assert (await client.post(path, content=RED)).json()["prediction"] == "red"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/docs", "/model", "/v2"])
async def test_head_says_what_get_says_without_the_body(client, path):
    head, get = await client.head(path), await client.get(path)

    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


# --- metrics


async def metric(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {name} in\n{text}"
    return float(found[1])


async def test_metrics_count_what_happens(client):
    await client.post("/validate", files=[("img", ("a", RED)), ("img", ("b", RED))])
    await client.post("/validate", content=b"no picture")

    assert await metric(client, 'autotrain_requests_total{code="200",route="/validate"}') == 1
    assert await metric(client, 'autotrain_requests_total{code="415",route="/validate"}') == 1
    assert await metric(client, 'autotrain_refused_total{reason="NotAnImage"}') == 1
    assert await metric(client, 'autotrain_predictions_total{label="red"}') == 2
    assert await metric(client, "autotrain_decode_seconds_count") == 2
    assert await metric(client, "autotrain_batch_size_sum") == 2
    assert await metric(client, "autotrain_queue_depth") == 0
    assert await metric(client, "autotrain_requests_in_flight") == 0
    assert await metric(client, "autotrain_model_ready") == 1


async def test_metrics_name_the_model_and_why_its_precision_is_another(client):
    ready = (await client.get("/readyz")).json()
    text = (await client.get("/metrics")).text

    assert f'revision="{ready["revision"]}"' in text
    assert ready["precisionNote"]
    assert ready["precisionNote"] in text


async def test_paths_that_are_not_there_share_one_label(client):
    for number in range(20):
        await client.get(f"/{number}")

    assert await metric(client, 'autotrain_requests_total{code="404",route="none"}') == 20


# --- too much at once


def test_what_is_inside_is_bounded_in_number_and_in_bytes():
    admission = Admission(requests=2, size=100)
    with admission.enter(60), pytest.raises(QueueFullError), admission.enter(60):
        pass
    with admission.enter(1), admission.enter(1), pytest.raises(QueueFullError), admission.enter(1):
        pass
    with admission.enter(1_000):
        pass

    assert (admission.requests, admission.bytes) == (0, 0)


async def test_a_request_too_many_is_sent_away_before_its_body_is_read(folder):
    async with serving(folder, queue_size=1) as client:
        with client.service.admission.enter(1):  # one that is inside
            read = []

            async def body() -> AsyncIterator[bytes]:
                read.append(1)
                yield RED

            answer = await client.post("/validate", content=body(), headers={"content-length": "9"})

        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["error"]["reason"] == "Overloaded"
        assert read == []
        assert (await client.post("/validate", content=RED)).status_code == 200


async def test_a_draining_server_answers_and_is_not_ready(client):
    client.service.draining = True

    assert (await client.get("/readyz")).json()["reason"] == "Draining"
    assert (await client.post("/validate", content=RED)).status_code == 200


# --- passes side by side


class Passes:
    """An engine that holds every pass until it is let go."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.let_go = threading.Semaphore(0)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.sizes.append(len(images))
        assert self.let_go.acquire(timeout=10)
        return images[:, 0, 0].astype(np.float32)


async def settle(passes: Passes, count: int) -> None:
    async with asyncio.timeout(5):
        while len(passes.sizes) < count:  # noqa: ASYNC110 - the engine is in another thread
            await asyncio.sleep(0.001)


def picture(value: int) -> np.ndarray:
    return np.full((1, 1, 3), value, np.uint8)


async def test_as_many_passes_run_as_the_engine_wants():
    passes = Passes()
    batcher = Batcher(passes, max_batch=4, queue_size=100, streams=2)
    tasks = [asyncio.create_task(batcher.scores(picture(0)))]
    await settle(passes, 1)
    tasks += [asyncio.create_task(batcher.scores(picture(value))) for value in range(1, 8)]
    await settle(passes, 2)
    for _ in range(4):
        passes.let_go.release()

    assert [int(row[0]) for row in await asyncio.gather(*tasks)] == list(range(8))
    assert passes.sizes == [1, 4, 3]


async def test_a_second_pass_waits_for_company_as_long_as_it_may():
    passes, metrics = Passes(), Metrics()
    batcher = Batcher(passes, max_batch=3, queue_size=100, streams=2, max_delay=60, metrics=metrics)
    tasks = [asyncio.create_task(batcher.scores(picture(0)))]
    await settle(passes, 1)  # the first one did not wait: the engine was idle
    tasks.append(asyncio.create_task(batcher.scores(picture(1))))
    await asyncio.sleep(0.02)
    assert passes.sizes == [1]
    tasks += [asyncio.create_task(batcher.scores(picture(value))) for value in (2, 3)]
    await settle(passes, 2)
    for _ in range(2):
        passes.let_go.release()
    await asyncio.gather(*tasks)

    assert passes.sizes == [1, 3]
    assert "autotrain_batch_size_sum 4.0" in metrics.text().decode()
