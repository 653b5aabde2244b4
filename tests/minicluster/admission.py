"""What the API fills in, refuses and never lets change, kind by kind; types and required fields come from schemas."""

import base64
import copy
import re
import uuid
from collections.abc import Callable

from minicluster import builtin, definitions, podsecurity, podspec, schema
from minicluster.errors import FieldError, forbidden, invalid, invalid_value, not_supported, required
from minicluster.immutability import change_errors
from minicluster.podspec import defaults
from minicluster.resources import Object, Resource, Resources
from minicluster.selectors import by_label_selector
from minicluster.store import Store

SERVICE_NETWORK = "127.2"
"""Cluster addresses of Services: all of 127/8 is this machine."""

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_QUALIFIED = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


def new_uid() -> str:
    return str(uuid.uuid4())


def metadata_errors(resource: Resource, item: Object) -> list[FieldError]:
    metadata, found = item["metadata"], _name_errors(resource, item["metadata"].get("name", ""))
    for field, values in (("labels", True), ("annotations", False)):
        for key, value in (metadata.get(field) or {}).items():
            if not _QUALIFIED.match(key):
                found.append(
                    invalid_value(f"metadata.{field}", f'"{key}"', "name part must consist of alphanumeric characters")
                )
            if values and not _LABEL_VALUE.match(value):
                why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
                found.append(invalid_value(f"metadata.{field}", f'"{value}"', why))
    for finalizer in metadata.get("finalizers") or ():
        if not _QUALIFIED.match(finalizer):
            found.append(invalid_value("metadata.finalizers", f'"{finalizer}"', "name part must be non-empty"))
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                found.append(
                    invalid_value(f"metadata.ownerReferences[{index}].{key}", '""', f"{key} must not be empty")
                )
    if sum(bool(owner.get("controller")) for owner in metadata.get("ownerReferences") or ()) > 1:
        found.append(
            invalid_value("metadata.ownerReferences", "[...]", "Only one reference can have Controller set to true")
        )
    return found


def _name_errors(resource: Resource, name: str) -> list[FieldError]:
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    if resource.group == "rbac.authorization.k8s.io":
        bad = "/" in name or "%" in name or name in (".", "..")
        return [invalid_value("metadata.name", f'"{name}"', "may not contain '/' or '%'")] if bad else []
    shape, longest, words = _SUBDOMAIN, 253, "a lowercase RFC 1123 subdomain"
    if resource.kind in ("Namespace", "Service"):
        shape, longest, words = _LABEL, 63, "a lowercase RFC 1123 label"
    found = []
    if not shape.match(name):
        why = f"{words} must consist of lower case alphanumeric characters or '-', and start and end with one"
        found.append(invalid_value("metadata.name", f'"{name}"', why))
    if len(name) > longest:
        found.append(invalid_value("metadata.name", f'"{name}"', f"must be no more than {longest} characters"))
    return found


def admit_new(resource: Resource, item: Object, store: Store, resources: Resources) -> None:
    if resource.custom:
        return
    if resource.has_status and resource.kind in _FIRST_STATUS:
        item["status"] = copy.deepcopy(_FIRST_STATUS[resource.kind])
    _fill_in(resource, item)
    if resource.kind == "Job":
        _label_job(item)
    if resource.kind == "Service":
        _give_address(item, store, resource)
    if resource.kind == "Pod":
        _give_account(resource, item, store, resources)
    _refuse(resource, item, _errors(resource, item))
    if resource.kind == "Pod":
        namespace = store.find(resources["Namespace"], None, item["metadata"]["namespace"])
        why = podsecurity.violations(namespace, item["spec"]) if namespace else ""
        if why:
            raise forbidden(resource, item["metadata"].get("name", ""), why)


def admit_change(resource: Resource, item: Object, current: Object, store: Store, resources: Resources) -> None:
    if resource.custom:
        return
    if resource.kind == "Service":
        for key in ("clusterIP", "clusterIPs"):
            if key in current["spec"]:
                item["spec"].setdefault(key, current["spec"][key])
    if resource.kind == "CustomResourceDefinition":
        item["metadata"].setdefault("finalizers", current["metadata"].get("finalizers", []))
    if resource.kind == "Job" and "selector" not in item["spec"]:
        item["spec"]["selector"] = current["spec"]["selector"]
    _fill_in(resource, item)
    _refuse(resource, item, change_errors(resource, item, current) + _errors(resource, item))


def _refuse(resource: Resource, item: Object, errors: list[FieldError]) -> None:
    if errors:
        raise invalid(resource, item["metadata"].get("name", ""), errors)


_FIRST_STATUS: dict[str, Object] = {
    "Namespace": {"phase": "Active"},
    "Pod": {"phase": "Pending"},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "PersistentVolume": {"phase": "Available"},
    "Service": {"loadBalancer": {}},
}


def _fill_in(resource: Resource, item: Object) -> None:
    if resource.kind in _FILLERS:
        if resource.kind not in ("Secret", "Namespace"):
            item.setdefault("spec", {})
        _FILLERS[resource.kind](item)
    template = _template(resource, item)
    if template is not None:
        template.setdefault("metadata", {})
        podspec.fill_in(template.setdefault("spec", {}))


def _template(resource: Resource, item: Object) -> Object | None:
    """What holds a pod's spec: the object itself or its template."""
    if resource.kind == "Pod":
        return item
    if resource.kind == "CronJob":
        item = (item.get("spec") or {}).get("jobTemplate") or {}
    template = (item.get("spec") or {}).get("template")
    return template if isinstance(template, dict) and resource.group in ("apps", "batch") else None


def _fill_in_secret(item: Object) -> None:
    for key, text in (item.pop("stringData", None) or {}).items():
        item.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()
    item.setdefault("type", "Opaque")


def _fill_in_namespace(item: Object) -> None:
    item.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    item["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = item["metadata"].get("name", "")


def _fill_in_service(item: Object) -> None:
    spec = item["spec"]
    defaults(spec, {"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster"})
    defaults(spec, {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    for port in spec.get("ports") or ():
        defaults(port, {"protocol": "TCP", "targetPort": port.get("port")})


def _fill_in_deployment(item: Object) -> None:
    defaults(item["spec"], {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}})
    strategy = item["spec"]["strategy"]
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        defaults(rolling, {"maxUnavailable": "25%", "maxSurge": "25%"})


def _fill_in_replicated(item: Object) -> None:
    item["spec"].setdefault("replicas", 1)


def _fill_in_job(item: Object) -> None:
    spec = item["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    policy = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    defaults(spec, {"parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False})
    defaults(spec, {"podReplacementPolicy": policy, "manualSelector": False})
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")


def _label_job(item: Object) -> None:
    metadata, spec = item["metadata"], item["spec"]
    uid = metadata.setdefault("uid", new_uid())
    if spec["manualSelector"]:
        return
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    own = {"controller-uid": uid, "job-name": metadata["name"]}
    labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    labels.update(own | {f"batch.kubernetes.io/{key}": value for key, value in own.items()})


def _fill_in_claim(item: Object) -> None:
    item["spec"].setdefault("volumeMode", "Filesystem")


def _fill_in_autoscaler(item: Object) -> None:
    item["spec"].setdefault("minReplicas", 1)


_FILLERS: dict[str, Callable[[Object], None]] = {
    "Secret": _fill_in_secret,
    "Namespace": _fill_in_namespace,
    "Service": _fill_in_service,
    "Deployment": _fill_in_deployment,
    "ReplicaSet": _fill_in_replicated,
    "StatefulSet": _fill_in_replicated,
    "Job": _fill_in_job,
    "PersistentVolumeClaim": _fill_in_claim,
    "HorizontalPodAutoscaler": _fill_in_autoscaler,
    "CustomResourceDefinition": definitions.fill_in,
}


def _give_address(item: Object, store: Store, resource: Resource) -> None:
    spec = item["spec"]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        taken = {other["spec"].get("clusterIP") for other in store.items(resource)}
        numbers = (f"{SERVICE_NETWORK}.{number // 250}.{number % 250 + 1}" for number in range(62_000))
        spec["clusterIP"] = next(address for address in numbers if address not in taken)
    spec["clusterIPs"] = [spec["clusterIP"]]


def _give_account(resource: Resource, item: Object, store: Store, resources: Resources) -> None:
    spec, namespace = item["spec"], item["metadata"]["namespace"]
    spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = spec["serviceAccountName"]
    defaults(spec, {"enableServiceLinks": True, "priority": 0, "preemptionPolicy": "PreemptLowerPriority"})
    if store.find(resources["ServiceAccount"], namespace, spec["serviceAccountName"]) is None:
        name = spec["serviceAccountName"]
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(resource, item["metadata"].get("name", ""), why)


def _errors(resource: Resource, item: Object) -> list[FieldError]:
    found = [
        FieldError(error.field, error.reason, error.message)
        for error in schema.errors(builtin.schema_of(resource), item, None)
        if error.reason == "FieldValueRequired" and not error.field.startswith(("status", "metadata"))
    ]
    if found:
        return found
    if resource.kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
        found += _workload_errors(item)
    if resource.kind in _CHECKS:
        found += _CHECKS[resource.kind](item)
    template = _template(resource, item)
    if template is not None:
        found += podspec.spec_errors(template["spec"], "spec" if template is item else "spec.template.spec")
    return found


def _workload_errors(item: Object) -> list[FieldError]:
    spec, found = item["spec"], []
    selector, template = spec["selector"], spec["template"]
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        found.append(invalid_value("spec.selector", "{}", "empty selector is invalid for deployment"))
    elif not by_label_selector(selector)(template):
        labels = template["metadata"].get("labels") or {}
        found.append(
            invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    if spec.get("replicas", 0) < 0:
        found.append(invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    if template["spec"]["restartPolicy"] != "Always":
        policy = template["spec"]["restartPolicy"]
        found.append(not_supported("spec.template.spec.restartPolicy", policy, '"Always"'))
    return found


def _job_errors(item: Object) -> list[FieldError]:
    spec, found = item["spec"], []
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy not in ("Never", "OnFailure"):
        found.append(required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'))
    if spec.get("podFailurePolicy") and policy != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(invalid_value("spec.template.spec.restartPolicy", f'"{policy}"', why))
    if spec.get("podFailurePolicy") and spec["podReplacementPolicy"] != "Failed":
        found.append(not_supported("spec.podReplacementPolicy", spec["podReplacementPolicy"], '"Failed"'))
    counts = ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished")
    negative = [key for key in counts if spec.get(key, 0) < 0]
    found += [invalid_value(f"spec.{key}", spec[key], "must be greater than or equal to 0") for key in negative]
    if spec["completionMode"] == "Indexed" and "completions" not in spec:
        found.append(required("spec.completions", "when completion mode is Indexed"))
    if len(item["metadata"].get("name", "")) > 63:
        found.append(
            invalid_value("spec.template.labels", f'"{item["metadata"]["name"]}"', "must be no more than 63 characters")
        )
    return found


def _service_errors(item: Object) -> list[FieldError]:
    spec, found = item["spec"], []
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        found.append(required("spec.ports"))
    for index, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            found.append(required(f"spec.ports[{index}].name"))
        if not 1 <= port["port"] <= 65535:
            found.append(
                invalid_value(f"spec.ports[{index}].port", port["port"], "must be between 1 and 65535, inclusive")
            )
    return found


def _claim_errors(item: Object) -> list[FieldError]:
    spec, found = item["spec"], []
    if not spec.get("accessModes"):
        found.append(required("spec.accessModes", "at least 1 access mode is required"))
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        found.append(required("spec.resources[storage]"))
    return found


def _budget_errors(item: Object) -> list[FieldError]:
    if "minAvailable" in item["spec"] and "maxUnavailable" in item["spec"]:
        return [invalid_value("spec", "{...}", "minAvailable and maxUnavailable cannot be both set")]
    return []


_CHECKS: dict[str, Callable[[Object], list[FieldError]]] = {
    "Job": _job_errors,
    "Service": _service_errors,
    "PersistentVolumeClaim": _claim_errors,
    "PodDisruptionBudget": _budget_errors,
    "CustomResourceDefinition": definitions.definition_errors,
}
