"""The Table that `kubectl get` shows: printer columns of custom resources and those of the built-in kinds."""

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from minicluster import jsonpath
from minicluster.resources import Object, Resource
from minicluster.selectors import selector_text, value_at

Cell = Callable[[Object], Any]
Column = tuple[str, str, int, Cell]
"""(name, type, priority, cell); priority 1 shows with -o wide."""


def age(moment: str | None, until: str | None = None) -> str | None:
    """The time since then as kubectl writes durations."""
    if not moment:
        return None
    try:
        start = datetime.datetime.fromisoformat(moment)
        end = datetime.datetime.fromisoformat(until) if until else datetime.datetime.now(datetime.UTC)
    except ValueError:
        return "<invalid>"
    return _duration(int((end - start).total_seconds()))


def _duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 2:
        return f"{max(seconds, 0)}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def columns_of(resource: Resource) -> list[Column]:
    name: Column = ("Name", "string", 0, lambda item: item["metadata"]["name"])
    if resource.columns:
        return [name, *(_custom(column) for column in resource.columns)]
    return [name, *(_BUILT_IN.get(resource.kind) or [_AGE])] if resource.kind != "Event" else _EVENT


def _custom(column: Object) -> Column:
    def cell(item: Object) -> Any:
        found = jsonpath.find(item, column["jsonPath"])
        return _converted(column["type"], found[0]) if found else None

    return column["name"], column["type"], column.get("priority", 0), cell


def _converted(kind: str, value: Any) -> Any:
    if kind == "date":
        return age(value) if isinstance(value, str) else None
    if kind == "string":
        if isinstance(value, bool) or not isinstance(value, str):
            return None if value is None else json.dumps(value)
        return value
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else float(value)


def table(
    resource: Resource, items: Sequence[Object], metadata: Object, include: str = "", headed: bool = True
) -> Object:
    columns = columns_of(resource)
    heads = [
        {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, kind, priority, _ in columns
    ]
    rows = [{"cells": [cell(item) for *_, cell in columns], "object": _row_object(item, include)} for item in items]
    whole = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "rows": rows}
    return whole | {"columnDefinitions": heads if headed else []}


def _row_object(item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    return item if include == "Object" else partial(item)


def partial(item: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _at(name: str, path: str, priority: int = 0, missing: Any = "", kind: str = "string") -> Column:
    def cell(item: Object) -> Any:
        found = value_at(item, path)
        return missing if found is None else found

    return name, kind, priority, cell


def _with(name: str, cell: Cell, priority: int = 0) -> Column:
    return name, "string", priority, cell


_AGE = _with("Age", lambda item: age(item["metadata"].get("creationTimestamp")) or "<unknown>")


def _replicas(item: Object) -> str:
    ready = value_at(item, ".status.readyReplicas") or 0
    return f"{ready}/{item['spec'].get('replicas', 1)}"


def _ready_containers(item: Object) -> str:
    states = value_at(item, ".status.containerStatuses") or []
    return f"{sum(bool(state.get('ready')) for state in states)}/{len(item['spec']['containers'])}"


def _restarts(item: Object) -> str:
    return str(sum(state.get("restartCount", 0) for state in value_at(item, ".status.containerStatuses") or []))


def _pod_status(item: Object) -> str:
    status = item.get("status") or {}
    told: str = status.get("reason") or status.get("phase", "Unknown")
    for state in status.get("containerStatuses") or ():
        waiting, ended = value_at(state, "state.waiting"), value_at(state, "state.terminated")
        if waiting and waiting.get("reason"):
            told = waiting["reason"]
        elif ended:
            told = ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    return "Terminating" if item["metadata"].get("deletionTimestamp") else told


def _job_status(item: Object) -> str:
    for condition in value_at(item, ".status.conditions") or ():
        if condition["type"] in ("Complete", "Failed", "Suspended") and condition["status"] == "True":
            return str(condition["type"])
    return "Terminating" if item["metadata"].get("deletionTimestamp") else "Running"


def _completions(item: Object) -> str:
    return f"{value_at(item, '.status.succeeded') or 0}/{item['spec'].get('completions', 1)}"


def _ports(item: Object) -> str:
    return (
        ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in item["spec"].get("ports") or ())
        or "<none>"
    )


def _images(item: Object) -> str:
    return ",".join(container["image"] for container in item["spec"]["template"]["spec"]["containers"])


def _data(item: Object) -> int:
    return len(item.get("data") or {}) + len(item.get("binaryData") or {})


def _object(item: Object) -> str:
    about = item.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _last_seen(item: Object) -> str:
    moments = (value_at(item, path) for path in ("series.lastObservedTime", "lastTimestamp", "eventTime"))
    moment = next(filter(None, moments), item["metadata"].get("creationTimestamp"))
    return age(moment) or "<unknown>"


def _modes(item: Object) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in item["spec"].get("accessModes") or ())


def _node_status(item: Object) -> str:
    ready = any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in value_at(item, ".status.conditions") or ()
    )
    return "Ready" if ready else "NotReady"


def _role(item: Object) -> str:
    return f"{item['roleRef']['kind']}/{item['roleRef']['name']}"


_CREATED = _at("Created At", ".metadata.creationTimestamp")
_CLAIM_SIZE = _with("Capacity", lambda item: (value_at(item, ".status.capacity") or {}).get("storage", ""))
_EVENT: list[Column] = [
    _with("Last Seen", _last_seen),
    _at("Type", ".type"),
    _at("Reason", ".reason"),
    _with("Object", _object),
    _with("Message", lambda item: (item.get("message") or "").strip()),
    _at("Name", ".metadata.name", 1),
]
_BUILT_IN: dict[str, list[Column]] = {
    "Pod": [
        _with("Ready", _ready_containers),
        _with("Status", _pod_status),
        _with("Restarts", _restarts),
        _AGE,
        _at("IP", ".status.podIP", 1, "<none>"),
        _at("Node", ".spec.nodeName", 1, "<none>"),
    ],
    "Deployment": [
        _with("Ready", _replicas),
        _at("Up-to-date", ".status.updatedReplicas", 0, 0, "integer"),
        _at("Available", ".status.availableReplicas", 0, 0, "integer"),
        _AGE,
        _with("Images", _images, 1),
        _with("Selector", lambda item: selector_text(item["spec"]["selector"]), 1),
    ],
    "ReplicaSet": [
        _at("Desired", ".spec.replicas", 0, 0, "integer"),
        _at("Current", ".status.replicas", 0, 0, "integer"),
        _at("Ready", ".status.readyReplicas", 0, 0, "integer"),
        _AGE,
    ],
    "StatefulSet": [_with("Ready", _replicas), _AGE],
    "Job": [
        _with("Status", _job_status),
        _with("Completions", _completions),
        _with(
            "Duration",
            lambda item: age(value_at(item, ".status.startTime"), value_at(item, ".status.completionTime")) or "",
        ),
        _AGE,
        _with("Images", _images, 1),
    ],
    "Service": [
        _at("Type", ".spec.type"),
        _at("Cluster-IP", ".spec.clusterIP", 0, "<none>"),
        _with("External-IP", lambda _: "<none>"),
        _with("Port(s)", _ports),
        _AGE,
    ],
    "ConfigMap": [_with("Data", _data), _AGE],
    "Secret": [_at("Type", ".type"), _with("Data", _data), _AGE],
    "PersistentVolumeClaim": [
        _at("Status", ".status.phase"),
        _at("Volume", ".spec.volumeName"),
        _CLAIM_SIZE,
        _with("Access Modes", _modes),
        _at("StorageClass", ".spec.storageClassName"),
        _AGE,
    ],
    "PersistentVolume": [_at("Status", ".status.phase"), _with("Access Modes", _modes), _AGE],
    "Node": [_with("Status", _node_status), _AGE, _at("Version", ".status.nodeInfo.kubeletVersion")],
    "Namespace": [_at("Status", ".status.phase"), _AGE],
    "PodDisruptionBudget": [
        _at("Min Available", ".spec.minAvailable", 0, "N/A"),
        _at("Max Unavailable", ".spec.maxUnavailable", 0, "N/A"),
        _at("Allowed Disruptions", ".status.disruptionsAllowed", 0, 0, "integer"),
        _AGE,
    ],
    "HorizontalPodAutoscaler": [
        _with(
            "Reference",
            lambda item: f"{item['spec']['scaleTargetRef']['kind']}/{item['spec']['scaleTargetRef']['name']}",
        ),
        _at("MinPods", ".spec.minReplicas"),
        _at("MaxPods", ".spec.maxReplicas"),
        _at("Replicas", ".status.currentReplicas", 0, 0, "integer"),
        _AGE,
    ],
    "Lease": [_at("Holder", ".spec.holderIdentity"), _AGE],
    "CustomResourceDefinition": [_CREATED],
    "Role": [_CREATED],
    "ClusterRole": [_CREATED],
    "RoleBinding": [_with("Role", _role), _AGE],
    "ClusterRoleBinding": [_with("Role", _role), _AGE],
}
