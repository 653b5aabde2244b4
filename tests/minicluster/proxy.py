"""The service proxy: listens on every Service's address and port, and hands each connection to a ready pod in turn.

What is open stays open when its pod leaves the Service. Without a ready pod a connection is refused, as in Kubernetes:
then nothing listens.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field

from minicluster.api import Api, Object
from minicluster.controllers.base import attempt, key_of, record
from minicluster.controllers.endpoints import SERVICE_NAME

COMPONENT = "kube-proxy"
ANNOTATION = "minicluster/port-"
"""+ port: the address where a port is really served, when the machine does not let us listen on the wanted one."""
CHUNK = 65_536

logger = logging.getLogger(__name__)


@dataclass
class Listener:
    """One port of one Service."""

    backends: list[tuple[str, int]]
    server: asyncio.Server | None = None
    turn: int = 0
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both sides are done."""
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there = await self._connect()
            if there is None:
                writer.transport.abort()
                return
            with contextlib.closing(there[1]):
                await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """To the next pod."""
        if not self.backends:
            return None
        self.turn += 1
        address, port = self.backends[self.turn % len(self.backends)]
        return await asyncio.open_connection(address, port)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes from one side to the other; an end is handed on as an end."""
    while content := await reader.read(CHUNK):
        writer.write(content)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


class Proxy:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._listeners: dict[tuple[str, int], Listener] = {}

    async def run(self) -> None:
        """Until cancelled."""
        changes = self._api.subscribe("Service", "EndpointSlice")
        try:
            async for change in changes:
                item = change.object
                namespace, name = key_of(item)
                if item["kind"] == "EndpointSlice":
                    name = (item["metadata"].get("labels") or {}).get(SERVICE_NAME, "")
                service = self._api.find("Service", namespace, name)
                if service is not None:
                    await self._update(service)
                elif item["kind"] == "Service":
                    self._close(item)
        finally:
            changes.close()
            for listener in self._listeners.values():
                stop(listener)
                for connection in listener.connections:
                    connection.cancel()

    async def _update(self, service: Object) -> None:
        address = service["spec"].get("clusterIP")
        if address in (None, "", "None"):
            return
        slices = self._api.list("EndpointSlice", service["metadata"]["namespace"], {SERVICE_NAME: key_of(service)[1]})
        wanted = {port["port"]: backends(slices, port.get("name", "")) for port in service["spec"].get("ports") or ()}
        for where in list(self._listeners):
            if where[0] == address and where[1] not in wanted:
                stop(self._listeners.pop(where))
                logger.info("%s:%s is no more", *where)
        for port, targets in wanted.items():
            listener = self._listeners.setdefault((address, port), Listener([]))
            listener.backends = targets
            if targets and listener.server is None:
                await self._listen(service, address, port, listener)
            elif not targets:
                stop(listener)

    async def _listen(self, service: Object, address: str, port: int, listener: Listener) -> None:
        try:
            listener.server = await asyncio.start_server(listener.accept, address, port)
        except PermissionError:
            listener.server = await asyncio.start_server(listener.accept, address, 0)
            instead = listener.server.sockets[0].getsockname()[1]
            annotation = {f"{ANNOTATION}{port}": f"{address}:{instead}"}
            key = key_of(service)
            attempt(lambda: self._api.patch("Service", *key, {"metadata": {"annotations": annotation}}))
            message = f"port {port} needs rights of root; it is served at {address}:{instead}"
            record(self._api, service, "OtherPort", message, COMPONENT, warning=True)
        except OSError as error:
            record(self._api, service, "NotServed", f"{address}:{port}: {error.strerror}", COMPONENT, warning=True)

    def _close(self, service: Object) -> None:
        for where in [where for where in self._listeners if where[0] == service["spec"].get("clusterIP")]:
            stop(self._listeners.pop(where))


def stop(listener: Listener) -> None:
    """Take no more connections."""
    if listener.server is not None:
        listener.server.close()
        listener.server = None


def backends(slices: list[Object], port_name: str) -> list[tuple[str, int]]:
    """(address, port) of the endpoints that are ready."""
    found = []
    for one in slices:
        ports = [port["port"] for port in one.get("ports") or () if (port.get("name") or "") == port_name]
        ready = [entry for entry in one.get("endpoints") or () if entry["conditions"].get("ready")]
        found += [(address, port) for port in ports for entry in ready for address in entry["addresses"]]
    return sorted(found)
