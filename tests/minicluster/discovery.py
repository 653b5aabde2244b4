"""What clients ask first: version, groups, kinds; the aggregated form, too."""

import json
from typing import Any

from aiohttp import web

from minicluster.resources import Object, Resource, Resources

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
"""Clients compare this Content-Type character by character."""

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2",
    "gitCommit": "minicluster",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "linux/amd64",
}
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "log": ("", "v1", "Pod", ("get",)),
}


def _subresource(resource: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    """(group, version, kind, verbs)."""
    own = (resource.group, resource.version, resource.kind, ("get", "patch", "update"))
    return _SUBRESOURCES.get(name, own)


def groups(resources: Resources) -> list[str]:
    return [group for group in resources.groups() if group]


def group(resources: Resources, name: str) -> Object:
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in resources.versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def group_list(resources: Resources) -> Object:
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group(resources, name) for name in groups(resources)],
    }


def core_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def resource_list(resources: Resources, name: str, version: str) -> Object:
    entries: list[Object] = []
    for resource in resources.of(name, version):
        entries.append(
            {
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(resource.verbs),
                "shortNames": list(resource.short_names),
                "categories": list(resource.categories),
            }
        )
        entries += [_listed_subresource(resource, name) for name in resource.subresources]
    group_version = f"{name}/{version}" if name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _listed_subresource(resource: Resource, name: str) -> Object:
    group_name, version, kind, verbs = _subresource(resource, name)
    entry: dict[str, Any] = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    entry |= {"kind": kind, "verbs": list(verbs)}
    return entry if group_name == resource.group else {**entry, "group": group_name, "version": version}


def wants_aggregated(accept: str) -> str:
    """The version of aggregated discovery that a client takes first, "" where it takes none."""
    for part in accept.split(","):
        if "as=APIGroupDiscoveryList" in part:
            return "v2beta1" if "v2beta1" in part else "v2"
    return ""


def aggregated(resources: Resources, names: list[str], form: str) -> web.Response:
    items = [
        {"metadata": {"name": name, "creationTimestamp": None}, "versions": _versions(resources, name)}
        for name in names
    ]
    kind = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{form}", "metadata": {}}
    body = json.dumps({**kind, "items": items}).encode()
    return web.Response(body=body, headers={"Content-Type": AGGREGATED.format(version=form)})


def _versions(resources: Resources, name: str) -> list[Object]:
    return [
        {
            "version": version,
            "freshness": "Current",
            "resources": [_aggregated_resource(resource) for resource in resources.of(name, version)],
        }
        for version in resources.versions(name)
    ]


def _aggregated_resource(resource: Resource) -> Object:
    below = []
    for name in resource.subresources:
        group_name, version, kind, verbs = _subresource(resource, name)
        answer = {"group": group_name, "version": version, "kind": kind}
        below.append({"subresource": name, "responseKind": answer, "verbs": list(verbs)})
    return {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
        "verbs": list(resource.verbs),
        "subresources": below,
    }
