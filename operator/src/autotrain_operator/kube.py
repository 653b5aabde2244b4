"""The Kubernetes API as this operator uses it: raw JSON through one door, `Transport.request`.

Kinds and verbs are in `Kube`; retries, decisions and manifests are not here.
"""

import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from kubernetes import aio

from autotrain_api import names

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PAGE = 500
TIMEOUT_SECONDS = 20

PATHS = {
    names.KIND: (f"/apis/{names.GROUP}/{names.VERSION}", names.PLURAL),
    "Job": ("/apis/batch/v1", "jobs"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Service": ("/api/v1", "services"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"),
}
"""Kind -> API prefix and plural."""
STEP = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
"""What can be the name of an object: it means itself in a URL's path, and nothing else."""


class KubeError(Exception):
    """The API refused. `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFoundError(KubeError): ...


class ConflictError(KubeError):
    """409: exists already, or changed in between."""


class RefusedError(KubeError):
    """400, 403, 422: trying the same again cannot help (invalid, forbidden, quota, Pod Security)."""


class UnfitNameError(RefusedError):
    """A name that no object can have, and that could lead a path elsewhere: nothing was asked of the API."""

    def __init__(self, what: str, name: str) -> None:
        allowed = "lower-case letters and digits, with '-' and '.' between them"
        super().__init__(422, "Invalid", f"{what} {name!r} is no name: that is {allowed}; correct it where it stands")


ERRORS: dict[int, type[KubeError]] = {
    400: RefusedError,
    403: RefusedError,
    404: NotFoundError,
    409: ConflictError,
    422: RefusedError,
}


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Object | None = None
    content_type: str = "application/json"


class Transport(Protocol):
    async def request(self, call: Call) -> bytes:
        """The body of the answer. Raises KubeError."""
        ...


class ClientTransport:
    """Through the official asyncio client, which knows kubeconfigs, service accounts and how tokens are renewed."""

    def __init__(self, client: aio.client.ApiClient) -> None:
        self._client = client

    async def request(self, call: Call) -> bytes:
        """See Transport."""
        method, url, headers, body, _ = await self._client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query),
            header_params={"Accept": "application/json", "Content-Type": call.content_type},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.call_api(method, url, headers, body, _request_timeout=TIMEOUT_SECONDS)
            content: bytes = await answer.read()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise KubeError(0, "Unreachable", f"{call.method} {call.path}: {type(error).__name__}: {error}") from error
        except aio.client.ApiException as error:
            raise KubeError(0, "Unreachable", f"{call.method} {call.path}: {error}") from error
        if answer.status >= 400:
            raise refusal(answer.status, content)
        return content


def refusal(status: int, content: bytes) -> KubeError:
    """The typed error in an answer that is a Status object, or anything else."""
    try:
        answer = json.loads(content)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", content[:500].decode(errors="replace")
    return ERRORS.get(status, KubeError)(status, reason, message)


async def connect() -> aio.client.ApiClient:
    """A client from the pod's service account, or from the kubeconfig."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        aio.config.load_incluster_config()
    else:
        await aio.config.load_kube_config()
    return aio.client.ApiClient()


def path_of(kind: str, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
    """Of an object, or without `name` of all of them. Raises UnfitNameError."""
    prefix, plural = PATHS[kind]
    place = f"/namespaces/{_step('namespace', namespace)}" if namespace is not None else ""
    steps = [] if name is None else [_step(kind, name), *filter(None, [subresource])]
    return "/".join([f"{prefix}{place}/{plural}", *steps])


def _step(what: str, name: str) -> str:
    if STEP.fullmatch(name) is None:
        raise UnfitNameError(what, name)
    return name


class Kube:
    """The verbs that this operator uses; `operator/README.md` lists them, and the chart's role grants no others."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None: also for a name that no object can have."""
        try:
            return await self._json(Call("GET", path_of(kind, namespace, name)))
        except (NotFoundError, UnfitNameError):
            return None

    async def list_all(self, kind: str, namespace: str | None, labels: Mapping[str, str] | None = None) -> list[Object]:
        """All objects with these labels, page by page. The API leaves `kind` out of lists; here it is put back."""
        return [{"kind": kind, **item} async for item in self._pages(kind, namespace, labels or {})]

    async def _pages(self, kind: str, namespace: str | None, labels: Mapping[str, str]) -> AsyncIterator[Object]:
        query = [("limit", str(PAGE))]
        if labels:
            query.append(("labelSelector", ",".join(f"{key}={value}" for key, value in labels.items())))
        token = ""
        while True:
            more = [("continue", token)] if token else []
            page = await self._json(Call("GET", path_of(kind, namespace), (*query, *more)))
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def create(self, body: Object) -> Object:
        """POST. Raises ConflictError when there is one already."""
        path = path_of(body["kind"], body["metadata"]["namespace"])
        return await self._json(Call("POST", path, _strict(), body))

    async def apply(self, body: Object) -> Object:
        """Server-side apply of everything that this operator manages of a child."""
        path = path_of(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._json(Call("PATCH", path, (*_strict(), ("force", "true")), body, APPLY))

    async def merge(self, kind: str, namespace: str, name: str, body: Object, subresource: str = "") -> Object:
        """JSON merge patch."""
        return await self._json(Call("PATCH", path_of(kind, namespace, name, subresource), _strict(), body, MERGE))

    async def delete(self, kind: str, namespace: str, name: str, uid: str, propagation: str) -> None:
        """Delete that very object; gone already is fine."""
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": propagation,
            "preconditions": {"uid": uid},
        }
        try:
            await self._json(Call("DELETE", path_of(kind, namespace, name), (), options))
        except (NotFoundError, ConflictError):
            return

    async def events(self, namespace: str, uid: str) -> list[Object]:
        """Events about the object with this uid, as the API lists them."""
        query = (("fieldSelector", f"involvedObject.uid={uid}"), ("limit", str(PAGE)))
        items: list[Object] = (await self._json(Call("GET", path_of("Event", namespace), query)))["items"]
        return sorted(items, key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])

    async def log_tail(self, namespace: str, pod: str, container: str, lines: int) -> list[str]:
        """The last lines of a container's log; empty where there is none."""
        query = (("container", container), ("tailLines", str(lines)), ("limitBytes", "65536"))
        try:
            content = await self._transport.request(Call("GET", path_of("Pod", namespace, pod, "log"), query))
        except KubeError:
            return []
        return content.decode(errors="replace").splitlines()[-lines:]

    async def _json(self, call: Call) -> Object:
        content = await self._transport.request(call)
        answer: Object = json.loads(content)
        return answer


def _strict() -> tuple[tuple[str, str], ...]:
    return (("fieldManager", names.MANAGER), ("fieldValidation", "Strict"))
