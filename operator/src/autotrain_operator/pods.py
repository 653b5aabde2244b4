"""What every pod of this operator has: Pod Security `restricted`, writable /tmp, scheduling as the spec says. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autotrain_api import names
from autotrain_api.pods import PodSettings
from autotrain_operator.kube import Object
from autotrain_operator.settings import Settings

CACHES = {
    "HOME": "/tmp",  # noqa: S108 - an emptyDir of the pod
    "XDG_CACHE_HOME": "/tmp/.cache",  # noqa: S108
    "HF_HOME": "/tmp/.cache/huggingface",  # noqa: S108
    "TORCH_HOME": "/tmp/.cache/torch",  # noqa: S108
    "MPLCONFIGDIR": "/tmp/.config/matplotlib",  # noqa: S108
    "FASTAI_HOME": "/tmp/.fastai",  # noqa: S108
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True)
class Owner:
    """The TrainingJob that a child belongs to."""

    namespace: str
    name: str
    uid: str

    def reference(self) -> Object:
        """For metadata.ownerReferences; without blockOwnerDeletion, which would ask for more rights."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }

    def labels(self, component: str) -> dict[str, str]:
        return {
            names.LABEL_NAME: "autotrain",
            names.LABEL_INSTANCE: self.name,
            names.LABEL_COMPONENT: component,
            names.LABEL_PART_OF: "autotrain",
            names.LABEL_MANAGED_BY: names.MANAGER,
            names.LABEL_JOB: self.name,
        }

    def metadata(self, name: str, component: str, labels: dict[str, str] | None = None) -> Object:
        """Metadata of a child that goes when its owner goes."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(component) | (labels or {}),
            "ownerReferences": [self.reference()],
        }


def digest(value: Any) -> str:
    """Ten hex characters of sha256 over canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def pod_spec(wanted: PodSettings, settings: Settings, container: Object, volumes: list[Object]) -> Object:
    """A pod spec around one container; empty fields are left out."""
    security: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if settings.fs_group is not None:
        security |= {"fsGroup": settings.fs_group, "fsGroupChangePolicy": "OnRootMismatch"}
    secrets = [*settings.image_pull_secrets, *(secret.name for secret in wanted.image_pull_secrets)]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
    } | present(
        nodeSelector=wanted.node_selector or settings.node_selector,
        tolerations=[toleration.to_dict() for toleration in wanted.tolerations] or settings.tolerations,
        affinity=wanted.affinity,
        priorityClassName=wanted.priority_class_name,
        runtimeClassName=wanted.runtime_class_name,
        serviceAccountName=wanted.service_account_name,
        imagePullSecrets=[{"name": name} for name in dict.fromkeys(secrets)],
    )


def container(
    name: str,
    image: str,
    wanted: PodSettings,
    settings: Settings,
    env: dict[str, str],
    mounts: list[Object],
    secrets: Sequence[str] = (),
) -> Object:
    """A restricted container with its caches below /tmp; the spec's own variables come last and win.

    The keys of `secrets` become variables as well: only their names are known here, and what else sets one wins.
    """
    own = [variable.to_dict() for variable in wanted.env]
    given = {variable["name"] for variable in own}
    ours = [{"name": key, "value": value} for key, value in (CACHES | env).items() if key not in given]
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [*ours, *own],
        "ports": [{"name": "http", "containerPort": names.PORT}],
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108
    } | present(envFrom=[{"secretRef": {"name": secret}} for secret in secrets])


def resources(wanted: PodSettings, default: Object) -> Object:
    """The spec's resources, or the chart's."""
    given = present(requests=wanted.resources.requests, limits=wanted.resources.limits)
    return given or default


def with_gpus(wanted: Object, count: int, settings: Settings) -> Object:
    """GPUs are limits; Kubernetes takes the same number as the request."""
    if not count:
        return wanted
    return {**wanted, "limits": {**wanted.get("limits", {}), settings.gpu_resource: count}}


def present(**fields: Any) -> Object:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def together(affinity: Object, owner: Owner) -> Object:
    """`affinity` and, besides, the node on which the object's other pods run: their volume can be on one node only."""
    term = {
        "labelSelector": {"matchLabels": {names.LABEL_JOB: owner.name}},
        "topologyKey": "kubernetes.io/hostname",
    }
    pods = dict(affinity.get("podAffinity") or {})
    pods[REQUIRED] = [*(pods.get(REQUIRED) or []), term]
    return {**affinity, "podAffinity": pods}
