"""Pod specs, of Pods and in templates: their defaults and what the API refuses."""

from collections.abc import Iterable
from typing import Any

from minicluster import quantities
from minicluster.errors import FieldError, invalid_value, not_supported, required
from minicluster.resources import Object

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_POLICIES = ("Always", "Never", "OnFailure")
FILE_MODE = 0o644
CONTAINERS = ("initContainers", "containers")


def defaults(item: Object, values: Object) -> None:
    for key, value in values.items():
        item.setdefault(key, value)


def fill_in(spec: Object) -> None:
    defaults(spec, {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"})
    defaults(spec, {"terminationGracePeriodSeconds": 30, "securityContext": {}})
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    for _, container in containers(spec):
        _fill_in_container(container)
    for volume in spec.get("volumes") or ():
        if not set(volume) - {"name"}:
            volume["emptyDir"] = {}
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if source in volume:
                volume[source].setdefault("defaultMode", FILE_MODE)


def _fill_in_container(container: Object) -> None:
    tag = container.get("image", "").rpartition("/")[2].partition(":")[2]
    policy = "Always" if tag in ("", "latest") and "@" not in container.get("image", "") else "IfNotPresent"
    defaults(container, {"imagePullPolicy": policy, "resources": {}})
    defaults(container, {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for entry in container.get("env") or ():
        if "fieldRef" in (entry.get("valueFrom") or {}):
            entry["valueFrom"]["fieldRef"].setdefault("apiVersion", "v1")
    limits, requests = container["resources"].get("limits") or {}, container["resources"].get("requests") or {}
    if limits:
        container["resources"]["requests"] = {**limits, **requests}
    for probe in (container[name] for name in ("livenessProbe", "readinessProbe", "startupProbe") if name in container):
        defaults(probe, _PROBE)
        if "httpGet" in probe:
            defaults(probe["httpGet"], {"path": "/", "scheme": "HTTP"})


def containers(spec: Object) -> Iterable[tuple[str, Object]]:
    """Each container with its path below the spec."""
    for group in CONTAINERS:
        for index, container in enumerate(spec.get(group) or ()):
            yield f"{group}[{index}]", container


def spec_errors(spec: Object, path: str) -> list[FieldError]:
    found = []
    if not spec.get("containers"):
        found.append(required(f"{path}.containers"))
    if spec["restartPolicy"] not in _POLICIES:
        allowed = ", ".join(f'"{policy}"' for policy in _POLICIES)
        found.append(not_supported(f"{path}.restartPolicy", spec["restartPolicy"], allowed))
    volumes = [volume.get("name") for volume in spec.get("volumes") or ()]
    found += _repeated(volumes, f"{path}.volumes", "name")
    found += _repeated([container.get("name") for _, container in containers(spec)], f"{path}.containers", "name")
    for place, container in containers(spec):
        found += _container_errors(container, f"{path}.{place}", volumes)
    return found


def _repeated(values: list[Any], path: str, key: str) -> list[FieldError]:
    return [
        FieldError(f"{path}[{index}].{key}", "FieldValueDuplicate", f'Duplicate value: "{value}"')
        for index, value in enumerate(values)
        if value in values[:index]
    ]


def _container_errors(container: Object, path: str, volumes: list[Any]) -> list[FieldError]:
    found = [required(f"{path}.image")] if not container.get("image") else []
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            told = f'Not found: "{mount.get("name")}"'
            found.append(FieldError(f"{path}.volumeMounts[{index}].name", "FieldValueNotFound", told))
    paths = [mount.get("mountPath") for mount in container.get("volumeMounts") or ()]
    found += _repeated(paths, f"{path}.volumeMounts", "mountPath")
    resources = container["resources"]
    limits = resources.get("limits") or {}
    for name, request in (resources.get("requests") or {}).items():
        if name in limits and quantities.parse(request) > quantities.parse(limits[name]):
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            found.append(invalid_value(f"{path}.resources.requests", f'"{request}"', why))
    return found
