"""OpenAPI documents: enough for `kubectl explain`, server-side field validation and the merge keys of `kubectl apply`."""

import functools
from collections.abc import Iterator
from typing import Any

from minicluster import builtin, patches
from minicluster.discovery import VERSION
from minicluster.resources import Object, Resource, Resources

_INFO = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
_REF = "#/components/schemas/"
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def version_2() -> Object:
    return {"swagger": "2.0", "info": _INFO, "paths": {}, "definitions": {}}


def _path(resource: Resource) -> str:
    return f"apis/{resource.group_version}" if resource.group else f"api/{resource.version}"


def version_3_index(resources: Resources) -> Object:
    paths = sorted({_path(resource) for resource in resources})
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={resources.revision}"} for path in paths}}


def version_3(resources: Resources, path: str) -> Object:
    schemas: Object = {}
    paths: Object = {}
    for resource in resources:
        if _path(resource) != path or "patch" not in resource.verbs:
            continue
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        name = ".".join([*reversed((resource.group or "io.k8s.api.core").split(".")), resource.version, resource.kind])
        schemas[name] = {**_schema(resource, schemas), "x-kubernetes-group-version-kind": [kind]}
        place = "namespaces/{namespace}/" if resource.namespaced else ""
        for tail in ("", "/{name}"):
            paths[f"/{path}/{place}{resource.plural}{tail}"] = _operations(resource, name, kind, bool(tail))
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": schemas}}


def _operations(resource: Resource, name: str, kind: Object, single: bool) -> Object:
    parameters = [{"name": word, "in": "query", "schema": {"type": "string"}} for word in _PARAMETERS]
    content = {"application/json": {"schema": {"$ref": f"{_REF}{name}"}}}
    answer = {"200": {"description": "OK", "content": content}}
    words = {"get": "get", "patch": "patch", "put": "update"} if single else {"get": "list", "post": "post"}
    return {
        method: {
            "operationId": f"{word}{resource.kind}",
            "parameters": parameters,
            "responses": answer,
            "x-kubernetes-action": word,
            "x-kubernetes-group-version-kind": kind,
        }
        for method, word in words.items()
    }


def _schema(resource: Resource, schemas: Object) -> Object:
    if resource.schema is None:
        return _with_references(builtin.model_name(resource), schemas, top=True)
    properties = resource.schema["properties"] | {"metadata": _with_references("V1ObjectMeta", schemas)}
    return {**resource.schema, "properties": properties}


def _with_references(name: str, schemas: Object, top: bool = False) -> Object:
    """A reference to a model, which goes into the document along with all it refers to; or its body."""
    body, needed = _written(name)
    for other in needed:
        if f"io.k8s.{other}" not in schemas:
            schemas[f"io.k8s.{other}"] = {}
            _with_references(other, schemas)
    if top:
        return body
    schemas[f"io.k8s.{name}"] = body
    return {"allOf": [{"$ref": f"{_REF}io.k8s.{name}"}], "default": {}}


@functools.cache
def _written(name: str) -> tuple[Object, tuple[str, ...]]:
    needed: dict[str, None] = {}

    def reference(other: str) -> Object:
        needed[other] = None
        return {"allOf": [{"$ref": f"{_REF}io.k8s.{other}"}]}

    body = builtin.model_schema(name, reference)
    for field, schema in _arrays(body):
        keys = patches.list_keys(field, _sample(schema["items"]), None)
        if keys is not None:
            merged = {"x-kubernetes-patch-strategy": "merge"}
            schema |= {**merged, "x-kubernetes-patch-merge-key": keys[0]} if keys else merged
    return body, tuple(needed)


def _arrays(body: Object) -> Iterator[tuple[str, Object]]:
    for field, schema in (body.get("properties") or {}).items():
        if schema.get("type") == "array":
            yield field, schema


def _sample(items: Any) -> Object:
    """Tells the ports of a container from those of a Service."""
    container = any("V1ContainerPort" in part.get("$ref", "") for part in items.get("allOf", ()))
    return {"containerPort": 0} if container else {}
