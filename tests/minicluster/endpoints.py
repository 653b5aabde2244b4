"""The verbs over HTTP: from a request for a kind to the Api's calls and back to an answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import yaml
from aiohttp import web

from minicluster import event_versions, forms, protobuf, reviews, scale
from minicluster.api import Api
from minicluster.calls import Call, is_true
from minicluster.deletion import DeleteOptions
from minicluster.errors import ApiError, bad_request, invalid, invalid_value, no_such_path, required
from minicluster.faults import Fault
from minicluster.identity import Tokens
from minicluster.rbac import Rbac, User
from minicluster.reading import Pages, Told, Watch, chosen_by, line
from minicluster.resources import Object, Resource
from minicluster.writes import Options

APPLY = "application/apply-patch+yaml"
CORE_EVENTS = ("", "events")
_POLICIES = ("Background", "Foreground", "Orphan")


class Yaml(yaml.SafeLoader):
    """Without timestamps: in Kubernetes a moment is a text."""

    yaml_implicit_resolvers = {
        start: [(tag, test) for tag, test in found if tag != "tag:yaml.org,2002:timestamp"]
        for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


async def body_of(request: web.Request) -> Any:
    """The request's body from JSON, YAML or protobuf; None where there is none."""
    raw = await request.read()
    if not raw:
        return None
    if raw.startswith(protobuf.MAGIC):
        return protobuf.decode(raw)
    if "cbor" in request.content_type:
        raise ApiError(415, "UnsupportedMediaType", "cbor is not understood: send JSON, YAML or protobuf")
    try:
        return json.loads(raw)
    except ValueError as error:
        if "yaml" not in request.content_type:
            raise bad_request(f"the object provided is unrecognized: {error}") from error
    try:
        return yaml.load(raw, Yaml)
    except yaml.YAMLError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def manager_of(request: web.Request) -> str:
    agent = request.headers.get("User-Agent", "unknown").partition("/")[0]
    return request.query.get("fieldManager") or agent[:128]


class Endpoints:
    def __init__(self, api: Api, rbac: Rbac, tokens: Tokens) -> None:
        self._api = api
        self._rbac = rbac
        self._tokens = tokens
        self._pages = Pages(api.store)

    async def answer(self, request: web.Request, call: Call, user: User, faults: list[Fault]) -> web.StreamResponse:
        resource = self._resource(call)
        if call.verb == "watch":
            return await self._watch(request, resource, call, faults)
        if call.subresource == "log" and call.verb == "get":
            return await self._log(request, call)
        body = await body_of(request)
        if body is not None and not isinstance(body, dict) and request.content_type != "application/json-patch+json":
            raise bad_request("the body of the request is no object")
        warnings: list[str] = []
        item, code = self._do(request, resource, call, user, body, warnings)
        return self._json(request, resource, item, code, warnings)

    def _resource(self, call: Call) -> Resource:
        resource = self._api.resources.find(call.group, call.plural)
        known = resource is not None and resource.version == call.version
        if (
            resource is None
            or not known
            or (call.subresource and call.subresource not in (*resource.subresources, "finalize"))
        ):
            raise no_such_path()
        return resource

    def _do(
        self, request: web.Request, resource: Resource, call: Call, user: User, body: Any, warnings: list[str]
    ) -> tuple[Object, int]:
        if "get" not in resource.verbs:
            if call.verb != "create":
                raise _not_allowed()
            return reviews.answer(resource.kind, body or {}, user, self._rbac, self._tokens), 201
        stored = resource
        if resource.group == "events.k8s.io":
            stored = self._api.resources.find(*CORE_EVENTS) or resource
            body = event_versions.to_core(body) if isinstance(body, dict) else body
        if call.verb == "list":
            return self._pages.page(stored, call), 200
        if call.verb == "get":
            item = self._api.stored(stored, call.namespace, call.name)
            return (scale.scale_of(stored, item) if call.subresource == "scale" else item), 200
        options = self._options(request, warnings)
        if call.verb == "create":
            return self._create(stored, call, body, options), 201
        if call.verb == "update":
            return self._update(stored, call, body, options), 200
        if call.verb == "patch":
            return self._patch(request, stored, call, user, body, options)
        if call.verb in ("delete", "deletecollection"):
            return self._delete(stored, call, body or {})
        raise _not_allowed()

    def _options(self, request: web.Request, warnings: list[str]) -> Options:
        query = request.query
        if query.get("dryRun") not in (None, "", "All"):
            raise invalid_options("dryRun", f'Unsupported value: "{query["dryRun"]}": supported values: "All"')
        validation = query.get("fieldValidation") or "Warn"
        return Options(manager_of(request), bool(query.get("dryRun")), validation, (warnings,))

    def _create(self, resource: Resource, call: Call, body: Object | None, options: Options) -> Object:
        body = self._expected(resource, call, body)
        if call.subresource == "eviction":
            return self._evict(resource, call, body)
        if call.subresource == "token":
            self._api.stored(resource, call.namespace, call.name)
            token = self._tokens.for_service_account(str(call.namespace), call.name)
            return reviews.token_request(body, token)
        if call.name:
            raise _not_allowed()
        return self._api.writes.create(resource, body, options)

    def _expected(self, resource: Resource, call: Call, body: Object | None) -> Object:
        """The body, which has to be of the kind and in the namespace that the path names."""
        if body is None:
            raise bad_request("the body of the request is empty")
        if not call.subresource and body.get("kind", resource.kind) != resource.kind:
            message = f'{body["kind"]} in version "{body.get("apiVersion")}" cannot be handled as a {resource.kind}'
            raise bad_request(message)
        if not call.subresource and body.get("apiVersion", resource.group_version) not in (
            resource.group_version,
            "v1",
        ):
            expected = f"the API version in the data ({body['apiVersion']}) does not match the expected API version"
            raise bad_request(f"{expected} ({resource.group_version})")
        metadata = body.get("metadata")
        if not isinstance(metadata, dict):
            metadata = body["metadata"] = {}
        if resource.namespaced and metadata.get("namespace") not in (None, "", call.namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if resource.namespaced:
            metadata["namespace"] = call.namespace
        return body

    def _evict(self, resource: Resource, call: Call, body: Object) -> Object:
        pod = self._api.stored(resource, call.namespace, call.name)
        self._api.disruption.check_eviction(pod)
        self._api.deletion.delete(resource, pod, delete_options(body.get("deleteOptions") or {}, call.query))
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def _update(self, resource: Resource, call: Call, body: Object | None, options: Options) -> Object:
        current = self._api.stored(resource, call.namespace, call.name)
        body = self._expected(resource, call, body)
        if call.subresource == "scale":
            return scale.scale_of(resource, self._api.set_scale(resource, current, body, options))
        version = body["metadata"].get("resourceVersion")
        if resource.custom and not version:
            why = invalid_value("metadata.resourceVersion", "0x0", "must be specified for an update")
            raise invalid(resource, call.name, [why])
        return self._api.writes.update(resource, current, body, options, call.subresource)

    def _patch(
        self, request: web.Request, resource: Resource, call: Call, user: User, body: Any, options: Options
    ) -> tuple[Object, int]:
        if request.content_type == APPLY:
            return self._apply(request, resource, call, user, body, options)
        current = self._api.stored(resource, call.namespace, call.name)
        sent = request.content_type
        patched = self._api.patch_with(resource, current, sent, body, options, call.subresource)
        return (scale.scale_of(resource, patched) if call.subresource == "scale" else patched), 200

    def _apply(
        self, request: web.Request, resource: Resource, call: Call, user: User, body: Any, options: Options
    ) -> tuple[Object, int]:
        if not request.query.get("fieldManager"):
            raise invalid_options("fieldManager", "Required value: is required for apply patch")
        body = self._expected(resource, call, body)
        if body["metadata"].pop("managedFields", None):
            raise bad_request("metadata.managedFields must be nil")
        if self._api.store.find(resource, call.namespace, call.name) is None and not call.subresource:
            self._rbac.check(user, call, "create")
        force = is_true(request.query.get("force"))
        item, created = self._api.apply(
            resource, call.namespace, call.name, body, options, force=force, subresource=call.subresource
        )
        return item, 201 if created else 200

    def _delete(self, resource: Resource, call: Call, body: Object) -> tuple[Object, int]:
        options = delete_options(body, call.query)
        if call.verb == "deletecollection":
            chosen = chosen_by(resource, call)
            items = [item for item in self._api.store.items(resource, call.namespace) if chosen(item)]
            gone = [self._api.deletion.delete(resource, item, options) for item in items]
            metadata = {"resourceVersion": str(self._api.store.version)}
            kind = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version}
            return {**kind, "metadata": metadata, "items": gone}, 200
        item = self._api.deletion.delete(resource, self._api.stored(resource, call.namespace, call.name), options)
        if self._api.store.find(resource, call.namespace, call.name) is not None or resource.kind == "Pod":
            return item, 200
        details = {"name": call.name, "group": resource.group, "kind": resource.plural, "uid": item["metadata"]["uid"]}
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return {**done, "details": {key: value for key, value in details.items() if value}}, 200

    def _json(
        self, request: web.Request, resource: Resource, item: Object, code: int, warnings: list[str]
    ) -> web.Response:
        shown = forms.as_asked(request, resource, item)
        response = web.Response(body=json.dumps(shown).encode(), status=code, content_type="application/json")
        for text in warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    async def _watch(
        self, request: web.Request, resource: Resource, call: Call, faults: list[Fault]
    ) -> web.StreamResponse:
        stored = resource
        if resource.group == "events.k8s.io":
            stored = self._api.resources.find(*CORE_EVENTS) or resource
        resources = self._api.resources
        watch = Watch(self._api.store, lambda known: resources.find(*known.key) is not None, stored, call)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            sent = 0
            async for told in _slowed(watch.events(), faults):
                if any(fault.drop_watch_after is not None and sent >= fault.drop_watch_after for fault in faults):
                    cut(request)
                    break
                await response.write(line(told[0], forms.event_as_asked(request, resource, told, first=not sent)))
                sent += 1
        return response

    async def _log(self, request: web.Request, call: Call) -> web.StreamResponse:
        query = request.query
        pod = self._api.stored(self._api.resources["Pod"], call.namespace, call.name)
        container = _container(pod, query.get("container"))
        if not pod["spec"].get("nodeName") or self._api.log_reader is None:
            return web.Response(status=204)
        follow, previous = is_true(query.get("follow")), is_true(query.get("previous"))
        parts = self._api.log_reader(pod, container, follow, previous)
        skipped = 0
        if "tailLines" in query:
            past = b"".join([part async for part in self._api.log_reader(pod, container, False, previous)])
            skipped = sum(len(text) for text in past.splitlines(keepends=True)[: -int(query["tailLines"]) or None])
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            async for part in _limited(parts, skipped, int(query["limitBytes"]) if "limitBytes" in query else None):
                await response.write(part)
        return response


async def _limited(parts: AsyncIterator[bytes], skipped: int, limit: int | None) -> AsyncIterator[bytes]:
    """Without the first bytes, and at most `limit` of the others."""
    async for part in parts:
        kept, skipped = part[skipped:], max(skipped - len(part), 0)
        if limit is None:
            yield kept
            continue
        yield kept[:limit]
        limit -= len(kept)
        if limit <= 0:
            return


def _not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def cut(request: web.Request) -> None:
    """Break the connection, as networks do."""
    if request.transport is not None:
        request.transport.abort()


async def _slowed(events: AsyncIterator[Told], faults: list[Fault]) -> AsyncIterator[Told]:
    seconds = max((fault.watch_delay_seconds for fault in faults), default=0.0)
    async for told in events:
        if seconds:
            await asyncio.sleep(seconds)
        yield told


def _container(pod: Object, asked: str | None) -> str:
    names = [container["name"] for container in (pod["spec"].get("initContainers") or []) + pod["spec"]["containers"]]
    if asked is None and len(pod["spec"]["containers"]) > 1:
        name = pod["metadata"]["name"]
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    if asked is not None and asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {pod['metadata']['name']}")
    return asked or str(pod["spec"]["containers"][0]["name"])


def invalid_options(field: str, why: str) -> ApiError:
    message = f'PatchOptions.meta.k8s.io "" is invalid: {field}: {why}'
    return ApiError(422, "Invalid", message, {"causes": [required(field).cause()]})


def delete_options(body: Object, query: Mapping[str, str]) -> DeleteOptions:
    policy = query.get("propagationPolicy") or body.get("propagationPolicy") or "Background"
    if policy not in _POLICIES:
        raise invalid_options(
            "propagationPolicy", f'Unsupported value: "{policy}": supported values: {", ".join(_POLICIES)}'
        )
    grace = query.get("gracePeriodSeconds", body.get("gracePeriodSeconds"))
    known = body.get("preconditions") or {}
    return DeleteOptions(
        propagation=policy,
        grace_seconds=None if grace is None else int(grace),
        uid=known.get("uid"),
        resource_version=known.get("resourceVersion"),
        dry_run=bool(query.get("dryRun") or body.get("dryRun")),
    )
