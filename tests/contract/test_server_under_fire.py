"""A server's process against what the internet sends: damaged pictures, bombs, slow and rude clients, too many at once."""

import asyncio
import http.client
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

import onnx_bundle
from server_process import Server, server

GOOD = onnx_bundle.picture("red")
MOST_GROWTH = 50 * 2**20
WARM = 150
"""Requests until allocators and caches have what they keep."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fire") / "bundle"
    onnx_bundle.write_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Server]:
    environment = {"AUTOTRAIN_HEADER_SECONDS": "1", "AUTOTRAIN_LIMITS": json.dumps({"timeoutSeconds": 2})}
    with server(folder, environment) as running:
        running.wait_for("model ready")
        yield running


# --- mutated uploads


def png_bomb() -> bytes:
    """30,000 x 30,000 pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_000))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


ORIGINALS = [
    onnx_bundle.picture(colour, kind)
    for colour in ("red", "blue")
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
]


def truncated(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data))]


def flipped(data: bytes, chance: Random) -> bytes:
    content = bytearray(data)
    for _ in range(chance.randint(1, 30)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def zeroed(data: bytes, chance: Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + bytes(len(data) - start)


def doubled(data: bytes, chance: Random) -> bytes:
    return data + data[chance.randrange(len(data)) :]


def other(_: bytes, chance: Random) -> bytes:
    made = [
        b"",
        b"\0",
        png_bomb(),
        chance.randbytes(chance.randint(1, 4_000)),
        b"<svg/>",
        b"%PDF-1.7",
        onnx_bundle.picture("red", "PNG", (1, 1)),
    ]
    return chance.choice(made)


MUTATIONS = (truncated, flipped, zeroed, doubled, other)


def post(client: httpx.Client, body: bytes, chance: Random) -> httpx.Response:
    """As a raw body, a form, a form that is cut, or a protocol request."""
    way = chance.randrange(4)
    if way == 0:
        return client.post("/validate", content=body, headers={"content-type": "image/png"})
    if way == 1:
        return client.post("/validate", files=[("img", ("../../etc/passwd", body)), ("img", ("b", GOOD))])
    if way == 2:
        form = b'--x\r\nContent-Disposition: form-data; name="img"; filename="a"\r\n\r\n' + body + b"\r\n--x--\r\n"
        cut = form[: chance.randrange(len(form))]
        return client.post("/validate", content=cut, headers={"content-type": "multipart/form-data; boundary=x"})
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 4 + len(body)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    content = head + struct.pack("<I", len(body)) + body
    return client.post(
        "/v2/models/colours/infer", content=content, headers={"Inference-Header-Content-Length": str(len(head))}
    )


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.soak)])
def test_mutated_uploads_do_no_harm(running: Server, count: int):
    chance = Random(count)
    memory = 0
    for number in range(count):
        body = chance.choice(MUTATIONS)(chance.choice(ORIGINALS), chance)
        answer = post(running.client, body, chance)
        good = running.client.post("/validate", content=GOOD)
        assert answer.status_code < 500, (number, answer.text)
        assert good.json()["prediction"] == "red"
        memory = running.memory() if number == WARM else memory

    assert running.memory() - memory <= MOST_GROWTH
    assert list(running.writable.iterdir()) == []


# --- rude clients


def test_headers_that_do_not_come_end_the_connection(running: Server):
    with running.connect() as client:
        client.sendall(b"POST /validate HTTP/1.1\r\nHost: a\r\nX-Slow: ")

        assert client.recv(1) == b""


def test_headers_that_do_not_end_are_refused(running: Server):
    with running.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)))

        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_what_is_no_http_is_answered_as_json(running: Server):
    with running.connect() as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = client.recv(1_000)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["reason"] == "InvalidRequest"


def test_a_body_that_does_not_come_is_a_timeout_and_others_are_answered_meanwhile(running: Server):
    with running.connect() as client:
        client.sendall(b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert running.client.post("/validate", content=GOOD).status_code == 200

        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", [b"GET /healthz", b"POST /nothing"])
def test_a_body_that_goes_on_after_its_answer_ends_the_connection(running: Server, path: bytes):
    with running.connect() as client:
        client.sendall(path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
        assert status_of(client) in (200, 404)
        client.sendall(b"x")

        assert ended(client)


def test_a_body_that_ends_after_its_answer_costs_nothing(running: Server):
    with running.connect() as client:
        for _ in range(2):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
            assert status_of(client) == 200
            client.sendall(b"abc")


def status_of(client: socket.socket) -> int:
    """Of an answer that is read to its end, so that what follows is not of it."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    answer.read()
    return answer.status


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection; the client's own timeout is the end of patience."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_one_connection_too_many_is_answered_and_probes_are_not_refused(folder: Path):
    with server(folder, {"AUTOTRAIN_MAX_CONNECTIONS": "2"}) as running:
        running.wait_for("model ready")
        assert running.client.post("/validate", content=GOOD).status_code == 200
        with running.connect() as one, running.connect() as other:
            for client in (one, other):
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                assert status_of(client) == 200
            refused = running.client.post("/validate", content=GOOD)
            probes = [running.client.get(path).status_code for path in ("/healthz", "/readyz")]
        deadline = time.monotonic() + 10
        while running.client.post("/validate", content=GOOD).status_code != 200:
            assert time.monotonic() < deadline

    assert (refused.status_code, refused.json()["error"]["reason"]) == (503, "Overloaded")
    assert {"retry-after", "x-model-digest", "x-request-id"} <= refused.headers.keys()
    assert probes == [200, 200]


def test_a_client_that_goes_away_leaves_nothing_behind(running: Server):
    for _ in range(50):
        with running.connect() as client:
            client.sendall(b"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
    assert running.client.post("/validate", content=GOOD).status_code == 200
    deadline = time.monotonic() + 10
    while "autotrain_requests_in_flight 0.0" not in running.client.get("/metrics").text:
        assert time.monotonic() < deadline


def test_a_client_with_a_kept_connection_loses_nothing_when_the_server_goes(folder: Path):
    lost, connections = [], set()
    with server(folder, {"AUTOTRAIN_FAREWELL_SECONDS": "0.5"}) as running:
        running.wait_for("model ready")
        for number in range(10_000):
            if number == 20:
                running.process.terminate()
            answer = running.client.post("/validate", content=GOOD)
            lost += [] if answer.status_code == 200 else [answer.text]
            connections.add(answer.headers.get("connection", ""))
            if "close" in connections:
                break
        code = running.process.wait(10)

    assert lost == []
    assert code == 0


# --- too many at once


@pytest.mark.parametrize("seconds", [2, pytest.param(30, marks=pytest.mark.soak)])
async def test_every_request_of_too_many_gets_an_answer(folder: Path, seconds: float):
    with server(folder, {"AUTOTRAIN_QUEUE_SIZE": "8"}) as running:
        running.wait_for("model ready")
        before = running.memory()
        codes = await asyncio.to_thread(lambda: asyncio.run(storm(running.port, seconds)))
        growth = running.memory() - before

    assert set(codes) == {200, 503}
    assert growth <= MOST_GROWTH


async def storm(port: int, seconds: float) -> list[int]:
    """Status codes of 64 clients that ask without a pause."""
    codes: list[int] = []
    end = time.monotonic() + seconds

    async def ask(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            codes.append((await client.post("/validate", content=GOOD)).status_code)

    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=10) as client:
        await asyncio.gather(*(ask(client) for _ in range(64)))
    return codes
