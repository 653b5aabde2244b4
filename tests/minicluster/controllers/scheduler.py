"""The scheduler of a cluster with one node: binds a pod, or says in the scheduler's words why it cannot."""

from fractions import Fraction

from minicluster import quantities
from minicluster.api import Api, Change, Object
from minicluster.controllers.base import Key, attempt, deleting, finished, key_of, record, with_condition
from minicluster.selectors import by_label_selector, labels_of

COMPONENT = "default-scheduler"


class Scheduler:
    kinds = ("Pod", "Node", "PersistentVolumeClaim")

    def __init__(self, api: Api) -> None:
        self._api = api

    def keys(self, change: Change) -> list[Key]:
        """Whatever frees or adds something lets every waiting pod be tried again."""
        pod = change.object
        if pod["kind"] == "Pod" and not (change.type == "DELETED" or finished(pod)):
            return [] if pod["spec"].get("nodeName") else [key_of(pod)]
        return [key_of(other) for other in self._api.list("Pod") if not other["spec"].get("nodeName")]

    def reconcile(self, key: Key) -> float | None:
        pod = self._api.find("Pod", *key)
        if pod is None or pod["spec"].get("nodeName") or pod["spec"].get("schedulingGates"):
            return None
        if deleting(pod):
            self._end(pod)
            return None
        nodes = self._api.list("Node")
        reasons = {node["metadata"]["name"]: self._reason(pod, node) for node in nodes}
        fits = [name for name, reason in reasons.items() if not reason]
        if fits:
            self._bind(pod, fits[0])
            return None
        self._tell(pod, list(reasons.values()))
        return None

    def _end(self, pod: Object) -> None:
        """A pod that never ran and is held by a finalizer counts as failed."""
        if not finished(pod):
            attempt(lambda: self._api.patch("Pod", *key_of(pod), {"status": {"phase": "Failed"}}, "status"))

    def _bind(self, pod: Object, node: str) -> None:
        conditions = with_condition(list((pod.get("status") or {}).get("conditions") or ()), "PodScheduled", "True")
        self._api.patch("Pod", *key_of(pod), {"spec": {"nodeName": node}})
        self._api.patch("Pod", *key_of(pod), {"status": {"conditions": conditions}}, "status")
        namespace, name = key_of(pod)
        record(self._api, pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {node}", COMPONENT)

    def _tell(self, pod: Object, reasons: list[str]) -> None:
        counted = ", ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))
        message = f"0/{len(reasons)} nodes are available: {counted}."
        conditions = list((pod.get("status") or {}).get("conditions") or ())
        told = with_condition(conditions, "PodScheduled", "False", "Unschedulable", message)
        if told != conditions:
            self._api.patch("Pod", *key_of(pod), {"status": {"conditions": told}}, "status")
            record(self._api, pod, "FailedScheduling", message, COMPONENT, warning=True)

    def _reason(self, pod: Object, node: Object) -> str:
        """Why it does not fit; empty when it does."""
        return (
            self._storage(pod)
            or unschedulable(pod, node)
            or wrong_node(pod, node)
            or self._alone(pod)
            or self._lack(pod, node)
        )

    def _storage(self, pod: Object) -> str:
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if not name:
                continue
            claim = self._api.find("PersistentVolumeClaim", pod["metadata"]["namespace"], name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if (claim.get("status") or {}).get("phase") != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    def _alone(self, pod: Object) -> str:
        """Required pod affinity: another pod matches, or the pod matches its own term, which lets the first one in."""
        affinity = ((pod["spec"].get("affinity") or {}).get("podAffinity")) or {}
        for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            matches = by_label_selector(term.get("labelSelector"))
            namespaces = term.get("namespaces") or [pod["metadata"]["namespace"]]
            others = [other for name in namespaces for other in self._api.list("Pod", name)]
            there = any(matches(other) and other["spec"].get("nodeName") and not finished(other) for other in others)
            own = matches(pod) and pod["metadata"]["namespace"] in namespaces
            if not there and not own:
                return "node(s) didn't match pod affinity rules"
        return ""

    def _lack(self, pod: Object, node: Object) -> str:
        free = {name: quantities.parse(value) for name, value in node["status"]["allocatable"].items()}
        for other in self._api.list("Pod"):
            if other["spec"].get("nodeName") == node["metadata"]["name"] and not finished(other):
                for name, amount in requests(other).items():
                    free[name] = free.get(name, Fraction(0)) - amount
        lacking = [name for name, amount in requests(pod).items() if amount > free.get(name, Fraction(0))]
        return ", 1 ".join("Too many pods" if name == "pods" else f"Insufficient {name}" for name in sorted(lacking))


def requests(pod: Object) -> dict[str, Fraction]:
    """What a pod takes from its node, init containers by their maximum."""
    total = {"pods": Fraction(1)}
    for container in pod["spec"]["containers"]:
        for name, amount in _requested(container).items():
            total[name] = total.get(name, Fraction(0)) + amount
    for container in pod["spec"].get("initContainers") or ():
        for name, amount in _requested(container).items():
            total[name] = max(total.get(name, Fraction(0)), amount)
    return total


def _requested(container: Object) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantities.parse(amount) for name, amount in wanted.items()}


def unschedulable(pod: Object, node: Object) -> str:
    tolerations = pod["spec"].get("tolerations") or ()
    taints = [taint for taint in node["spec"].get("taints") or () if taint["effect"] in ("NoSchedule", "NoExecute")]
    if node["spec"].get("unschedulable"):
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    bad = [taint for taint in taints if not any(tolerates(toleration, taint) for toleration in tolerations)]
    if bad and bad[0]["key"] == "node.kubernetes.io/unschedulable":
        return "node(s) were unschedulable"
    return f"node(s) had untolerated taint {{{bad[0]['key']}: {bad[0].get('value', '')}}}" if bad else ""


def tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def wrong_node(pod: Object, node: Object) -> str:
    labels = labels_of(node)
    wanted = pod["spec"].get("nodeSelector") or {}
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    chosen = terms is None or any(
        by_label_selector({"matchExpressions": t.get("matchExpressions")})(node) for t in terms
    )
    fits = chosen and all(labels.get(key) == value for key, value in wanted.items())
    return "" if fits else "node(s) didn't match Pod's node affinity/selector"
