"""One look at a container: httpGet, tcpSocket or exec. When and what follows is the container's business."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from minicluster.api import Object

Exec = Callable[[list[str]], Awaitable[int]]
"""Runs a command in the container's room; its exit code."""


def port_number(container: Object, port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = {entry.get("name"): entry["containerPort"] for entry in container.get("ports") or ()}
    return int(named[port])


async def http_get(session: aiohttp.ClientSession, action: Object, container: Object, address: str) -> str:
    """Why it failed; empty when it did not."""
    scheme = str(action.get("scheme", "HTTP")).lower()
    host = f"{action.get('host') or address}:{port_number(container, action['port'])}"
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or ()}
    url = f"{scheme}://{host}/{action.get('path', '/').lstrip('/')}"
    async with session.get(url, headers=headers, ssl=False, allow_redirects=False) as answer:
        await answer.content.read(10_240)
        return "" if 200 <= answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"


async def tcp_socket(action: Object, container: Object, address: str) -> str:
    port = port_number(container, action["port"])
    _, writer = await asyncio.open_connection(action.get("host") or address, port)
    writer.close()
    return ""


async def look(session: aiohttp.ClientSession, probe: Object, container: Object, address: str, run: Exec) -> str:
    """Why the probe failed; empty when it succeeded."""
    timeout = probe.get("timeoutSeconds", 1)
    try:
        async with asyncio.timeout(timeout):
            if action := probe.get("httpGet"):
                return await http_get(session, action, container, address)
            if action := probe.get("tcpSocket"):
                return await tcp_socket(action, container, address)
            code = await run(probe["exec"]["command"])
            return "" if code == 0 else f"command exited with code {code}"
    except TimeoutError:
        return f"probe timed out after {timeout} s"
    except (OSError, aiohttp.ClientError) as error:
        return str(error)
