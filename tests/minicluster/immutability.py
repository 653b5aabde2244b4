"""What an update of a built-in kind may not change."""

import copy

from minicluster import podspec
from minicluster.errors import FieldError, forbidden_field, invalid_value
from minicluster.resources import Object, Resource
from minicluster.selectors import value_at

_IMMUTABLE = "field is immutable"
_SCHEDULING = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
_FIXED: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName"),
    "Job": ("spec.selector", "spec.completions", "spec.completionMode", "spec.podFailurePolicy"),
    "Service": ("spec.clusterIP",),
    "Secret": ("type",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy"),
    "PriorityClass": ("value",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"),
}


def change_errors(resource: Resource, item: Object, current: Object) -> list[FieldError]:
    fixed = _FIXED.get(resource.kind, ())
    changed = [path for path in fixed if value_at(item, path) != value_at(current, path)]
    found = [invalid_value(path, value_at(item, path), _IMMUTABLE) for path in changed]
    if resource.kind in ("Secret", "ConfigMap") and current.get("immutable"):
        changed = [key for key in ("data", "binaryData", "immutable") if item.get(key) != current.get(key)]
        found += [forbidden_field(key, "field is immutable when `immutable` is set") for key in changed]
    if resource.kind == "Job" and _fixed_template(item, current) != _fixed_template(current, current):
        found.append(invalid_value("spec.template", "{...}", _IMMUTABLE))
    if resource.kind == "Pod" and _fixed_pod(item) != _fixed_pod(current):
        why = (
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)"
        )
        found.append(forbidden_field("spec", why))
    if resource.kind == "PersistentVolumeClaim" and _fixed_claim(item, current) != _fixed_claim(current, current):
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        found.append(forbidden_field("spec", why))
    return found


def _fixed_template(item: Object, current: Object) -> Object:
    """A Job's template; while a Job is suspended and has not started, where its pods go may still change."""
    template: Object = copy.deepcopy(item["spec"]["template"])
    if current["spec"].get("suspend") and not (current.get("status") or {}).get("startTime"):
        template.pop("metadata", None)
        template["spec"] = {key: value for key, value in template["spec"].items() if key not in _SCHEDULING}
    return template


def _fixed_pod(item: Object) -> Object:
    spec: Object = copy.deepcopy(item["spec"])
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeName"):
        spec.pop(key, None)
    for _, container in podspec.containers(spec):
        container.pop("image", None)
    return spec


def _fixed_claim(item: Object, current: Object) -> Object:
    """A claim that names no class may still get the default one."""
    changeable = {"resources", "volumeName", "volumeAttributesClassName"}
    changeable |= {"storageClassName"} - set(current["spec"])
    return {key: value for key, value in item["spec"].items() if key not in changeable}
