"""The Open Inference Protocol under /v2: the same answers as /validate, in JSON and in binary tensors."""

import base64
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import onnx_bundle
from autotrain_server.tensors import pack
from server_client import serving

RED = onnx_bundle.picture("red")
BLUE = onnx_bundle.picture("blue", "JPEG")
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "bundle"
    onnx_bundle.write_bundle(folder)
    return folder


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(folder) as client:
        yield client


async def model_of(client: httpx.AsyncClient) -> str:
    return (await client.get("/readyz")).json()["model"]


def text(*pictures: bytes) -> dict[str, Any]:
    data = [base64.b64encode(picture).decode() for picture in pictures]
    return {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}


async def infer(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(f"/v2/models/{await model_of(client)}/infer", content=content, headers=headers)


async def test_the_answers_are_those_of_validate(client):
    same = (await client.post("/validate", files=[("img", ("a", RED)), ("img", ("b", BLUE))])).json()
    answer = (await infer(client, {"id": "42", "inputs": [text(RED, BLUE)]})).json()
    outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}

    assert answer["id"] == "42"
    assert answer["model_version"] == (await client.get("/readyz")).json()["revision"]
    assert outputs["label"]["data"] == [one["prediction"] for one in same]
    assert outputs["confidence"]["data"] == pytest.approx([one["confidence"] for one in same], abs=1e-6)
    classes = (await client.get("/model")).json()["classes"]
    scores = np.reshape(outputs["scores"]["data"], outputs["scores"]["shape"])
    assert scores.shape == (2, len(classes))
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert [classes[int(top)] for top in scores.argmax(axis=1)] == outputs["label"]["data"]


async def test_only_the_outputs_that_are_named_come_in_their_order(client):
    asked = [{"name": "confidence"}, {"name": "label"}]
    answer = (await infer(client, {"inputs": [text(RED)], "outputs": asked})).json()

    assert [tensor["name"] for tensor in answer["outputs"]] == ["confidence", "label"]


async def test_what_is_not_set_may_be_null(client):
    tensor = {**text(RED), "parameters": None}
    answer = await infer(client, {"id": None, "parameters": None, "outputs": None, "inputs": [tensor]})

    assert answer.status_code == 200
    assert "id" not in answer.json()


async def test_binary_tensors_go_in_and_out_behind_the_json(client):
    tail = b"".join(struct.pack("<I", len(picture)) + picture for picture in (RED, BLUE))
    tensor = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = await infer(client, head + tail, **{LENGTH: str(len(head))})
    size = int(answer.headers[LENGTH])
    outputs = json.loads(answer.content[:size])["outputs"]
    rest, parts = answer.content[size:], {}
    for tensor in outputs:
        length = tensor["parameters"]["binary_data_size"]
        parts[tensor["name"]], rest = rest[:length], rest[length:]

    assert rest == b""
    assert parts["label"] == b"\x03\0\0\0red\x04\0\0\0blue"
    assert len(parts["confidence"]) == 8


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "inputs"),
        (b"{", "body"),
        ({"inputs": []}, "one tensor 'image' is wanted; found: none"),
        ({"inputs": [{**text(RED), "name": "pixels"}]}, "found: 'pixels'"),
        ({"inputs": [{**text(RED), "datatype": "FP32"}]}, "BYTES"),
        ({"inputs": [{**text(RED), "shape": [2]}]}, "[2] for 1 elements"),
        ({"inputs": [{**text(RED), "shape": [9] * 1_000}]}, "inputs.0.shape"),
        ({"inputs": [{**text(RED), "shape": ["1"]}]}, "inputs.0.shape.0"),
        ({"inputs": [{**text(RED), "data": ["not base64!"]}]}, "base64"),
        ({"inputs": [{**text(RED), "data": [7]}]}, "base64"),
        ({"inputs": [{**text(), "shape": [0]}]}, "0 pictures"),
        ({"inputs": [{**text(RED), "parameters": {"binary_data_size": 9}}]}, "0 bytes follow"),
        ({"inputs": [text(RED)], "outputs": [{"name": "boxes"}]}, "there is no 'boxes'"),
        ({"inputs": [text(b"no picture")]}, "not a picture"),
        ({"inputs": [text(*[RED] * 65)]}, "65 pictures; 1 to 64"),
        ({"inputs": [{}] * 5_000}, "more than 4096 elements"),
        (b'{"inputs": ' + b"[" * 5_000, "more than 4096 elements"),
    ],
)
async def test_errors_are_what_the_protocol_says(client, body, words):
    answer = await infer(client, body)

    assert 400 <= answer.status_code < 500
    assert answer.json().keys() == {"error"}
    assert words in answer.json()["error"]


@pytest.mark.parametrize("declared", ["x", "-1", "999999", "1" * 5_000, "0" * 5_000 + "5"])
async def test_a_header_length_that_cannot_be_is_refused(client, declared):
    answer = await infer(client, {"inputs": [text(RED)]}, **{LENGTH: declared})

    assert answer.status_code == 400
    assert LENGTH in answer.json()["error"]


async def test_elements_may_be_nested_like_the_shape(client):
    tensor = text(RED, BLUE)
    nested = {**tensor, "shape": [2, 1], "data": [[one] for one in tensor["data"]]}
    flat, same = [(await infer(client, {"inputs": [one]})).json() for one in (tensor, nested)]

    assert same["outputs"] == flat["outputs"]


def test_numbers_are_packed_in_their_own_datatype():
    assert pack("INT32", [3, -1]) == struct.pack("<2i", 3, -1)
    assert pack("FP32", [0.5]) == struct.pack("<f", 0.5)


async def test_a_body_of_empty_elements_is_refused_at_the_first_too_many(client):
    tail = bytes(4 * 1_000)
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = await infer(client, head + tail, **{LENGTH: str(len(head))})

    assert answer.json()["error"] == "inputs.0.data: 65 pictures; 1 to 64 are allowed in one request"


@pytest.mark.parametrize("tail", [b"\x05", b"\xff\xff\xff\xff", struct.pack("<I", 9) + b"short"])
async def test_binary_data_that_ends_too_soon_is_refused(client, tail):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = await infer(client, head + tail, **{LENGTH: str(len(head))})

    assert answer.status_code == 400
    assert "binary tensor data" in answer.json()["error"]


async def test_the_server_and_the_model_describe_themselves(client):
    name = await model_of(client)
    server = (await client.get("/v2")).json()
    model = (await client.get(f"/v2/models/{name}")).json()
    same = (await client.get(f"/v2/models/{name}/versions/{model['versions'][0]}")).json()

    assert server["extensions"] == ["binary_tensor_data"]
    assert model == same
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert model["parameters"]["precision"] in ("Float32", "BFloat16")


async def test_health_follows_the_model(client, folder):
    name = await model_of(client)
    paths = ("/v2/health/live", "/v2/health/ready", f"/v2/models/{name}/ready")

    assert [(await client.get(path)).status_code for path in paths] == [200, 200, 200]
    async with serving(folder, sha256="0" * 64) as refused:
        assert [(await refused.get(path)).status_code for path in paths] == [200, 503, 503]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/{name}/versions/v1-ffffffffff", "/v2/nothing"])
async def test_what_is_not_here_is_not_found(client, path):
    answer = await client.get(path.format(name=await model_of(client)))

    assert answer.status_code == 404
    assert isinstance(answer.json()["error"], str)
