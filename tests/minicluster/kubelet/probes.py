"""Probes: one look at a container by httpGet, tcpSocket or exec, and what follows from several."""

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


class Prober:
    """A container's probes from its start on: startup first, then readiness and liveness."""

    def __init__(
        self,
        spec: Object,
        look: Callable[[Object, str], Awaitable[str]],
        sleep: Callable[[float], Awaitable[None]],
        restart: Callable[[str, Object], Awaitable[None]],
        set_ready: Callable[[bool], None],
    ) -> None:
        self._spec = spec
        self._look = look
        self._sleep = sleep
        self._restart = restart
        self._set_ready = set_ready

    async def run(self) -> None:
        """Until cancelled, or until the container is to be restarted."""
        startup, readiness, liveness = (self._spec.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness"))
        if startup and not await self._alive("Startup", startup, until_good=True):
            return
        self._set_ready(readiness is None)
        watchers: list[Awaitable[object]] = [self._watch_readiness(readiness)] if readiness else []
        watchers += [self._alive("Liveness", liveness, until_good=False)] if liveness else []
        await asyncio.gather(*watchers)

    async def _alive(self, kind: str, probe: Object, until_good: bool) -> bool:
        """Whether it was once good, if that is asked; too many failures restart the container."""
        failures = 0
        await self._sleep(probe.get("initialDelaySeconds", 0))
        while failures < probe.get("failureThreshold", 3):
            bad = bool(await self._look(probe, kind))
            if until_good and not bad:
                return True
            failures = failures + 1 if bad else 0
            if failures < probe.get("failureThreshold", 3):
                await self._sleep(probe.get("periodSeconds", 10))
        await self._restart(kind.lower(), probe)
        return False

    async def _watch_readiness(self, probe: Object) -> None:
        successes = failures = 0
        await self._sleep(probe.get("initialDelaySeconds", 0))
        while True:
            bad = bool(await self._look(probe, "Readiness"))
            successes, failures = (0, failures + 1) if bad else (successes + 1, 0)
            if successes >= probe.get("successThreshold", 1):
                self._set_ready(True)
            elif failures >= probe.get("failureThreshold", 3):
                self._set_ready(False)
            await self._sleep(probe.get("periodSeconds", 10))
