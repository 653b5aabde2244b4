"""The switches that make the API slow, unwilling or forgetful."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from minicluster import faults
from minicluster.api import Api
from minicluster.faults import Fault
from minicluster.http import Server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(Api())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    context = ssl.create_default_context(cadata=server.ca_pem)
    async with httpx.AsyncClient(base_url=server.url, headers=headers, verify=context, trust_env=False) as client:
        yield client


def config_map(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


async def test_a_refusal_is_answered_instead_of_doing_anything(server: Server, http: httpx.AsyncClient) -> None:
    server.faults.add(Fault(("create",), "configmaps", times=1, error=faults.conflict()))

    first = await http.post(CONFIG_MAPS, json=config_map("a"))
    second = await http.post(CONFIG_MAPS, json=config_map("a"))

    assert (first.status_code, second.status_code) == (409, 201)


async def test_too_many_requests_says_when_to_come_back(server: Server, http: httpx.AsyncClient) -> None:
    server.faults.add(Fault(error=faults.too_many_requests(3)))

    refused = await http.get(CONFIG_MAPS)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "3"


async def test_a_fault_meets_the_requests_it_names(server: Server, http: httpx.AsyncClient) -> None:
    fault = server.faults.add(Fault(("get",), "configmaps", name="b", skip=1, error=faults.internal()))

    codes = [(await http.get(f"{CONFIG_MAPS}/{name}")).status_code for name in ("a", "b", "b", "b")]
    server.faults.remove(fault)

    assert codes == [404, 404, 500, 500]
    assert fault.met == 3
    assert (await http.get(f"{CONFIG_MAPS}/b")).status_code == 404


async def test_a_lost_answer_was_carried_out(server: Server, http: httpx.AsyncClient) -> None:
    server.faults.add(Fault(("create",), "configmaps", lose_answer=True))

    with pytest.raises(httpx.TransportError):
        await http.post(CONFIG_MAPS, json=config_map("a"))

    assert server.api.find("ConfigMap", "default", "a") is not None


async def test_a_watch_breaks_after_some_events(server: Server, http: httpx.AsyncClient) -> None:
    server.faults.add(Fault(("watch",), "configmaps", drop_watch_after=1))
    for name in "ab":
        server.api.create("ConfigMap", {"metadata": {"name": name, "namespace": "default"}})

    seen = []
    with pytest.raises(httpx.TransportError):
        async with http.stream("GET", CONFIG_MAPS, params={"watch": "1"}) as response:
            seen += [json.loads(line)["object"]["metadata"]["name"] async for line in response.aiter_lines()]

    assert len(seen) < 2


async def test_a_watch_tells_late(server: Server, http: httpx.AsyncClient) -> None:
    server.faults.add(Fault(("watch",), "configmaps", watch_delay_seconds=60))
    server.api.create("ConfigMap", {"metadata": {"name": "a", "namespace": "default"}})

    async with http.stream("GET", CONFIG_MAPS, params={"watch": "1"}) as response:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(response.aiter_lines()), 0.2)

    assert (await http.get(f"{CONFIG_MAPS}/a")).status_code == 200


async def test_forgotten_history_expires_watches_and_pages(server: Server, http: httpx.AsyncClient) -> None:
    for name in "abc":
        server.api.create("ConfigMap", {"metadata": {"name": name, "namespace": "default"}})
    page = (await http.get(CONFIG_MAPS, params={"limit": "1"})).json()["metadata"]
    server.api.create("ConfigMap", {"metadata": {"name": "d", "namespace": "default"}})

    server.api.store.forget_history()

    rest = await http.get(CONFIG_MAPS, params={"limit": "1", "continue": page["continue"]})
    watch = await http.get(CONFIG_MAPS, params={"watch": "1", "resourceVersion": page["resourceVersion"]})
    assert rest.status_code == 410
    assert watch.json()["object"]["code"] == 410
