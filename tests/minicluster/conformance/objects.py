"""The objects of the checks: a small custom resource that has one of everything, and the built-in kinds."""

import copy
from typing import Any

from minicluster.conformance.client import CORE, Object, unique

GROUP = "conformance.autotrain.dev"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_TAGS = {"type": "array", "items": {"type": "string", "maxLength": 10}, "x-kubernetes-list-type": "set", "maxItems": 5}
_PORT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "port": {"type": "integer"},
        "scheme": {"type": "string", "default": "tcp"},
    },
}
_PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "maxItems": 10,
    "items": _PORT,
}
_LIMITS = {
    "type": "object",
    "default": {},
    "properties": {
        "seconds": {"type": "integer", "default": 10},
        "mode": {"type": "string", "default": "Soft", "nullable": True},
    },
}
_SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "replicas": {"type": "integer"},
        "ratio": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "image": {"type": "string", "pattern": "^[a-z/:.0-9-]+$", "maxLength": 30, "minLength": 1},
        "fixed": {
            "type": "string",
            "maxLength": 20,
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed is immutable"}],
        },
        "maybe": {"type": "string", "nullable": True},
        "limits": _LIMITS,
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "tags": _TAGS,
        "steps": {"type": "array", "items": {"type": "string"}},
        "ports": _PORTS,
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "quantity": {"x-kubernetes-int-or-string": True},
    },
    "x-kubernetes-validations": [{"rule": "!has(self.any) || self.size < 9", "message": "size too big with any"}],
}
_COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Last", "type": "integer", "jsonPath": ".status.attempts[-1:].number"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
]


def definition(plural: str, kind: str, short: str, spec: Object | None = None, **names: Any) -> Object:
    """The CustomResourceDefinition of a kind; `spec` is the schema of its spec."""
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": copy.deepcopy(spec or _SPEC), "status": status}}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": _COLUMNS,
        "schema": {"openAPIV3Schema": schema},
    }
    named = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List", "shortNames": [short]}
    spec = {"group": GROUP, "scope": "Namespaced", "names": named | names, "versions": [version]}
    metadata = {"name": f"{plural}.{GROUP}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def widget(name: str = "", metadata: Object | None = None, **spec: Any) -> Object:
    named = {"name": name or unique(), **(metadata or {})}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": named, "spec": {"size": 3, **spec}}


def widgets(namespace: str, name: str = "") -> str:
    return f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets" + (f"/{name}" if name else "")


def core(namespace: str, plural: str, name: str = "") -> str:
    return f"{CORE}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def apps(namespace: str, plural: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def jobs(namespace: str, name: str = "") -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")


def rbac(namespace: str, plural: str, name: str = "") -> str:
    return f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def config_map(name: str, owner: Object | None = None, **reference: Any) -> Object:
    """A ConfigMap, perhaps with an owner."""
    metadata: Object = {"name": name}
    if owner is not None:
        known = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
        metadata["ownerReferences"] = [
            {**known, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], **reference}
        ]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def waiting_pod_spec(image: str = "registry.invalid/a:1") -> Object:
    """Of pods that no scheduler ever places."""
    return {"schedulingGates": [{"name": "autotrain.dev/never"}], "containers": [{"name": "c1", "image": image}]}


def pod(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": waiting_pod_spec()}


def deployment(name: str, image: str = "a:1") -> Object:
    labels = {"app": name}
    containers = [{"name": "c1", "image": image}, {"name": "c2", "image": image}]
    template = {"metadata": {"labels": labels}, "spec": {**waiting_pod_spec(), "containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def job(name: str, **spec: Any) -> Object:
    template = {"spec": {**waiting_pod_spec(), "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}
