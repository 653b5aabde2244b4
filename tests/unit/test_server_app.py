import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest

import onnx_bundle
from autotrain_api import bundle
from autotrain_api.trainingjob import Limits, Postprocessing
from autotrain_server.app import create_app
from autotrain_server.engine import Engine
from autotrain_server.model import Model
from autotrain_server.predictor import Predictor
from autotrain_server.settings import Settings
from server_client import serving

RED = onnx_bundle.picture("red")
BLUE = onnx_bundle.picture("blue", "JPEG")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "bundle"
    onnx_bundle.write_bundle(folder)
    return folder


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(folder) as client:
        yield client


def form(*pictures: bytes, field: str = "img", name: str = "../../etc/passwd") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (name, picture)) for picture in pictures]


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["reason"]


# --- answers


@pytest.mark.parametrize("path", ["/validate", "/classification/validate/"])
async def test_a_form_with_one_picture_gets_one_answer(client, path):
    response = await client.post(path, files=form(RED))

    answer = response.json()
    assert response.status_code == 200
    assert answer["prediction"] == "red"
    assert isinstance(answer["confidence"], float)
    assert answer["top"][0] == {"label": "red", "confidence": answer["confidence"]}


async def test_a_form_with_several_pictures_gets_a_list_in_their_order(client):
    response = await client.post("/validate", files=form(RED, BLUE, RED))

    assert [answer["prediction"] for answer in response.json()] == ["red", "blue", "red"]


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream"])
async def test_a_raw_body_is_a_picture_whatever_it_is_called(client, kind):
    response = await client.post("/validate", content=BLUE, headers={"content-type": kind})

    assert response.json()["prediction"] == "blue"


async def test_every_answer_says_which_model_gave_it(client, folder):
    response = await client.post("/validate", files=form(RED))

    assert response.headers["x-model-revision"] == "v1-0000000000"
    assert response.headers["x-model-digest"] == bundle.sha256_of(folder / bundle.MANIFEST)


async def test_postprocessing_names_and_counts_what_is_answered(folder):
    async with serving(folder, postprocessing=Postprocessing(labels={"red": "Rot"}, top_k=1)) as client:
        answer = (await client.post("/validate", files=form(RED))).json()

    assert [top["label"] for top in answer["top"]] == ["Rot"]


async def test_concurrent_requests_get_their_own_answers(client):
    wanted = ["red", "blue"] * 20
    pictures = {"red": RED, "blue": BLUE}

    responses = await asyncio.gather(*(client.post("/validate", files=form(pictures[name])) for name in wanted))

    assert [response.json()["prediction"] for response in responses] == wanted


# --- requests that are not answered


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ({"files": form(b"text")}, 415, "NotAnImage"),
        ({"files": form(b"")}, 400, "EmptyImage"),
        ({"files": form(RED[:-40])}, 422, "DamagedImage"),
        ({"files": form(RED, field="image")}, 400, "MissingField"),
        ({"content": b"", "headers": {"content-type": "image/png"}}, 400, "EmptyImage"),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 415, "UnsupportedContentType"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "InvalidForm"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "InvalidForm"),
        ({"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}}, 400, "InvalidForm"),
        ({"files": form(*[RED] * 65)}, 413, "TooManyPictures"),
    ],
    ids=[
        "text",
        "empty",
        "cut",
        "other field",
        "no body",
        "json",
        "no boundary",
        "no form",
        "open form",
        "65 pictures",
    ],
)
async def test_a_bad_request_is_refused_with_its_reason(client, request_, status, reason):
    assert error_of(await client.post("/validate", **request_)) == (status, reason)


async def test_a_body_over_the_limit_is_refused_before_it_is_read(folder):
    async with serving(folder, limits=Limits(max_body_bytes="1Ki")) as client:
        declared = await client.post("/validate", files=form(bytes(2000)))
        streamed = await client.post("/validate", content=_chunks(), headers={"content-type": "image/png"})

    assert error_of(declared) == error_of(streamed) == (413, "BodyTooLarge")


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(4):
        yield bytes(500)


async def test_a_picture_with_too_many_pixels_is_refused(folder):
    async with serving(folder, limits=Limits(max_pixels=1000)) as client:
        assert error_of(await client.post("/validate", files=form(RED))) == (413, "TooManyPixels")


async def test_a_body_that_does_not_come_is_a_timeout(folder):
    async def silence() -> AsyncIterator[bytes]:
        yield b"."
        await asyncio.Event().wait()

    async with serving(folder, limits=Limits(timeout_seconds=1)) as client:
        response = await client.post("/validate", content=silence(), headers={"content-type": "image/png"})

    assert error_of(response) == (408, "RequestTimeout")


async def test_a_full_queue_says_try_again_at_once(folder):
    async with serving(folder, queue_size=2) as client:
        response = await client.post("/validate", files=form(*[RED] * 40))

    assert error_of(response) == (503, "Overloaded")
    assert response.headers["retry-after"] == "1"


async def test_other_paths_and_methods_get_errors_of_the_same_form(client):
    assert error_of(await client.get("/nothing")) == (404, "NotFound")
    assert error_of(await client.get("/validate")) == (405, "MethodNotAllowed")


async def test_nothing_is_written_to_disk(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    await client.post("/validate", files=form(onnx_bundle.picture("red", "BMP", (900, 800))))

    assert os.listdir(tmp_path) == []  # noqa: PTH208


# --- ready or not


async def test_a_verified_model_is_ready_and_says_what_it_is(client):
    response = await client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["ready"] is True
    assert response.json()["revision"] == "v1-0000000000"
    assert response.json()["precision"] == "Float32"


async def test_a_model_that_still_loads_is_alive_and_not_ready(folder):
    app = create_app(Settings(bundle=str(folder)), Model(folder))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        ready, health = await client.get("/readyz"), await client.get("/healthz")
        answer = await client.post("/validate", files=form(RED))

    assert (ready.status_code, ready.json()["reason"]) == (503, "Loading")
    assert health.status_code == 200
    assert error_of(answer) == (503, "Loading")


async def test_an_altered_bundle_is_never_ready_and_names_the_file(tmp_path):
    onnx_bundle.write_bundle(tmp_path / "bundle")
    with (tmp_path / "bundle" / bundle.MODEL).open("r+b") as file:
        file.write(b"\xff")

    async with serving(tmp_path / "bundle") as client:
        ready, health = await client.get("/readyz"), await client.get("/healthz")
        answer = await client.post("/validate", files=form(RED))

    assert (ready.status_code, health.status_code) == (503, 200)
    assert ready.json()["reason"] == "BundleAltered"
    assert ready.json()["file"] == bundle.MODEL
    assert bundle.MODEL in ready.json()["message"]
    assert error_of(answer) == (503, "BundleAltered")


async def test_another_bundle_than_the_trained_one_is_never_ready(folder):
    async with serving(folder, sha256="0" * 64) as client:
        ready = await client.get("/readyz")

    assert ready.json()["reason"] == "BundleAltered"
    assert bundle.MANIFEST in ready.json()["message"]


# --- pages


async def test_the_page_loads_nothing_from_elsewhere(client):
    response = await client.get("/")

    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "http://" not in response.text
    assert "https://" not in response.text


async def test_the_api_is_described(client):
    described = (await client.get("/openapi.json")).json()["paths"]

    assert {"/validate", "/classification/validate/", "/readyz", "/healthz", "/model"} <= set(described)
    assert set(described["/validate"]["post"]["responses"]) >= {"200", "400", "413", "415", "422", "503"}


async def test_the_model_is_described_with_its_report(client):
    card = (await client.get("/model")).json()

    assert card["classes"] == list(onnx_bundle.CLASSES)
    assert card["report"] == ["report/loss.png"]
    assert (await client.get("/report/loss.png")).headers["content-type"] == "image/png"


@pytest.mark.parametrize("name", ["other.png", "..%2Fmanifest.json", "%2e%2e/manifest.json"])
async def test_only_files_of_the_report_are_given_out(client, name):
    assert (await client.get(f"/report/{name}")).status_code == 404


async def test_the_event_loop_stays_free_while_the_engine_works(folder):
    """The engine is held until another request was answered."""
    asked = threading.Event()
    model = Model(folder)
    model.predictor = Predictor.load(folder)
    model.predictor.engine = Held(asked, model.predictor.engine)
    transport = httpx.ASGITransport(create_app(Settings(bundle=str(folder)), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = asyncio.create_task(client.post("/validate", files=form(RED)))
        await client.get("/healthz")
        asked.set()

        assert (await answer).json()["prediction"] == "red"


class Held:
    """An engine that waits for `asked`."""

    name, precision, streams, batch_sizes = "held", "Float32", 1, ()

    def __init__(self, asked: threading.Event, engine: Engine) -> None:
        self.asked, self.engine = asked, engine

    def scores(self, images: np.ndarray) -> np.ndarray:
        assert self.asked.wait(10)
        return self.engine.scores(images)


async def test_a_form_of_many_other_fields_gets_a_short_answer(client):
    response = await client.post("/validate", files=[(f"field{i}", ("a", b"x")) for i in range(500)])

    assert error_of(response) == (400, "MissingField")
    assert len(response.content) < 1000


async def test_a_report_that_has_gone_is_not_found(tmp_path):
    onnx_bundle.write_bundle(tmp_path / "bundle")
    async with serving(tmp_path / "bundle") as client:
        (tmp_path / "bundle/report/loss.png").unlink()

        assert error_of(await client.get("/report/loss.png")) == (404, "NotFound")
        assert (await client.post("/validate", content=RED)).json()["prediction"] == "red"


class Broken:
    name, precision, streams, batch_sizes = "broken", "Float32", 1, ()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def scores(self, images: np.ndarray) -> np.ndarray:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("no device"), MemoryError("bad allocation"), KeyError("a bug")])
async def test_an_engine_that_fails_takes_the_pod_out_of_service_and_has_it_replaced(folder, error):
    model = Model(folder)
    model.predictor = Predictor.load(folder)
    model.predictor.engine = Broken(error)
    transport = httpx.ASGITransport(create_app(Settings(bundle=str(folder)), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert error_of(await client.post("/validate", content=RED)) == (503, "Crashed")
        for path in ("/readyz", "/healthz", "/v2/health/live"):
            assert (await client.get(path)).status_code == 503
        assert str(error) in (await client.get("/healthz")).json()["status"]


@pytest.mark.parametrize("path", ["/validate", "/v2/models/colours/infer"])
async def test_a_bug_is_answered_like_any_other_error(folder, monkeypatch, path):
    model = Model(folder)
    model.predictor = Predictor.load(folder)
    app = create_app(Settings(bundle=str(folder)), model)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        monkeypatch.setattr(app.state.service.admission, "enter", lambda _: 1 / 0)
        answer = await client.post(path, content=RED)

    assert answer.status_code == 500
    assert "the server failed: ZeroDivisionError" in answer.text
    assert {"x-model-revision", "x-model-digest", "x-request-id"} <= answer.headers.keys()
