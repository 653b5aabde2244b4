"""Pods that neither run nor fail: one table of what they wait for, and what a person can do. Pure."""

import re
from typing import NamedTuple

from autotrain_api.names import Reason
from autotrain_operator.kube import Object

MESSAGE_LENGTH = 500


def sentences(message: str, hint: str) -> str:
    """What is wrong, and what to do about it."""
    end = "." if message and hint and message[-1] not in ".!?" else ""
    return f"{message}{end} {hint}".strip()


class Waiting(NamedTuple):
    reason: Reason
    message: str
    hint: str

    def __str__(self) -> str:
        return sentences(self.message, self.hint)


IMAGE_HINT = "Check the image's name and tag, and imagePullSecrets."
CONTAINER_STATES = {
    "ImagePullBackOff": (Reason.IMAGE_PULL, IMAGE_HINT),
    "ErrImagePull": (Reason.IMAGE_PULL, IMAGE_HINT),
    "ErrImageNeverPull": (Reason.IMAGE_PULL, "The image is not on the node, and the pull policy is Never."),
    "InvalidImageName": (Reason.IMAGE_PULL, IMAGE_HINT),
    "CreateContainerConfigError": (
        Reason.CONTAINER_CONFIG,
        "Create the Secret or ConfigMap that is missing, or correct secretRef or env in the spec.",
    ),
    "CreateContainerError": (Reason.CONTAINER_CONFIG, "See `kubectl describe pod`."),
    "RunContainerError": (Reason.CONTAINER_CONFIG, "See `kubectl describe pod`."),
}
ROOT_WORDS = "image will run as root"
ROOT_HINT = "Use an image whose USER is a number other than 0: pods run as non-root."
POD_WORDS = re.compile(r' \(pod: "[^"]*", container: [^)]*\)')
"""What the kubelet adds to its messages: names that change with every pod."""
BACKED_OFF = '": ErrImagePull: '
"""In the message of ImagePullBackOff, before that of the error behind it (Kubernetes 1.31 and newer)."""
VOLUME_WORDS = ("persistentvolumeclaim", "volume")


def waiting_of(pod: Object) -> Waiting | None:
    """What the pod waits for, as far as it says."""
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state = container.get("state", {}).get("waiting") or {}
        if state.get("reason") in CONTAINER_STATES:
            reason, hint = CONTAINER_STATES[state["reason"]]
            words = _words(state)
            return Waiting(reason, words[:MESSAGE_LENGTH], ROOT_HINT if ROOT_WORDS in words else hint)
        if (ended := container.get("lastState", {}).get("terminated")) and not container.get("ready"):
            return _crash(ended)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _unscheduled(condition.get("message", ""))
    return None


def _crash(ended: Object) -> Waiting:
    """A container that is started again and again, by its last end: the same words while it runs and while it waits."""
    if ended.get("reason") == "OOMKilled":
        message = "the container was killed for using more memory than its limit"
        return Waiting(Reason.OUT_OF_MEMORY, message, "Raise the memory limit in spec.serving.resources.")
    lines = ended.get("message", "").strip().splitlines()
    last = f": {lines[-1][:MESSAGE_LENGTH]}" if lines else ""
    message = f"the container ends with exit code {ended.get('exitCode')} and is started again{last}"
    return Waiting(Reason.CRASHED, message, "See `kubectl logs --previous`.")


def _words(state: Object) -> str:
    """What a waiting container says. Trying and backing off take turns; both are told in the words of the error."""
    said = POD_WORDS.sub("", f"{state['reason']}: {state.get('message', '')}")
    return f"ErrImagePull: {said.partition(BACKED_OFF)[2]}" if BACKED_OFF in said else said


def _unscheduled(message: str) -> Waiting:
    text = message[:MESSAGE_LENGTH]
    if any(word in message.lower() for word in VOLUME_WORDS):
        hint = (
            "See `kubectl describe pvc`: check the claims that spec.data.uri, spec.data.cache and spec.output.uri name, "
            "and the storage class of the operator's own (spec.output.storage.storageClassName)."
        )
        return Waiting(Reason.VOLUME_NOT_BOUND, text, hint)
    if "nvidia.com/gpu" in message or "Insufficient" in message:
        hint = "Lower gpusPerNode or resources in spec.compute, gpus or resources in spec.serving, or add nodes."
        return Waiting(Reason.UNSCHEDULABLE, text, hint)
    if "pod affinity rules" in message:
        hint = (
            "A ReadWriteOnce volume holds all pods of one TrainingJob on one node: make room there, or keep models on a "
            "ReadWriteMany volume (spec.output.storage.accessModes of a new TrainingJob)."
        )
        return Waiting(Reason.UNSCHEDULABLE, text, hint)
    if "were unschedulable" in message:
        return Waiting(Reason.UNSCHEDULABLE, text, "Uncordon a node (`kubectl get nodes`), or add one.")
    return Waiting(Reason.UNSCHEDULABLE, text, "Check nodeSelector, tolerations and affinity.")


REFUSALS = (
    ("exceeded quota", Reason.QUOTA_EXCEEDED, "Raise the namespace's ResourceQuota or lower the resources."),
    (
        "failed quota",
        Reason.QUOTA_EXCEEDED,
        "The namespace's ResourceQuota counts resources that this pod does not state: set requests and limits in "
        "spec.compute.resources and spec.serving.resources.",
    ),
    (
        "violates PodSecurity",
        Reason.FORBIDDEN,
        "The namespace's Pod Security level forbids this pod: check what spec.compute and spec.serving add to it.",
    ),
    (
        "service account",
        Reason.FORBIDDEN,
        "Create that ServiceAccount in this namespace, or change serviceAccountName in spec.compute or spec.serving.",
    ),
    ("PriorityClass", Reason.FORBIDDEN, "Check priorityClassName in spec.compute and spec.serving; `kubectl get pc`."),
    (
        "RuntimeClass",
        Reason.FORBIDDEN,
        "Check runtimeClassName in spec.compute and spec.serving; `kubectl get runtimeclasses`.",
    ),
    (
        "limit of",
        Reason.FORBIDDEN,
        "State requests and limits that agree, and that the namespace's LimitRange allows, in spec.compute.resources "
        "and spec.serving.resources.",
    ),
    (
        "usage per",
        Reason.FORBIDDEN,
        "Keep spec.compute.resources and spec.serving.resources within the namespace's LimitRange.",
    ),
    ("denied", Reason.FORBIDDEN, "A policy of the cluster refuses it: see the message, or ask who runs the cluster."),
)
"""Words of the API server -> reason and what to do; the first that is found wins."""
GENERATED = re.compile(r'(ods? "[^"]*-)[a-z0-9]{5}"')
"""The name of a pod that a controller tries to create: another one with every try."""


LISTED = re.compile(r"(?<=: \[)(.+)(?=\])", re.DOTALL)
"""Several things that are wrong with one object. Those of a map come in another order with every try."""
NEXT = re.compile(r", (?=\S+: (?:Invalid|Required|Unsupported|Duplicate) value|\S+: (?:Forbidden|Too long|Not found))")


def _sorted(found: re.Match[str]) -> str:
    return ", ".join(sorted(NEXT.split(found[1])))


def refused(message: str) -> Waiting:
    """The API server refused a pod or a child."""
    text = LISTED.sub(_sorted, GENERATED.sub(r'\1*"', message))[:MESSAGE_LENGTH]
    for words, reason, hint in REFUSALS:
        if words in message:
            return Waiting(reason, text, hint)
    return Waiting(Reason.FORBIDDEN, text, "See the message; the spec asks for what the namespace forbids.")
