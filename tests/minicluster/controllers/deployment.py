"""Deployments: one ReplicaSet per pod template, rolling update or Recreate, and how far the rollout is."""

from typing import Any

from minicluster.api import Api, Change, Object
from minicluster.controllers import rollout
from minicluster.controllers.base import (
    Key,
    attempt,
    deleting,
    find_condition,
    finished,
    own_or_owners_key,
    owned_by,
    record,
    reference,
    seconds_since,
    with_condition,
    write_status,
)
from minicluster.controllers.rollout import counted, size
from minicluster.store import now

COMPONENT = "deployment-controller"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


class DeploymentController:
    kinds = ("Deployment", "ReplicaSet", "Pod")

    def __init__(self, api: Api) -> None:
        self._api = api

    def keys(self, change: Change) -> list[Key]:
        if change.object["kind"] != "Pod":
            return own_or_owners_key(change, "Deployment")
        owner = own_or_owners_key(change, "ReplicaSet")  # Recreate waits for pods to be gone
        replica_set = self._api.find("ReplicaSet", *owner[0]) if owner else None
        return own_or_owners_key(Change("MODIFIED", replica_set), "Deployment") if replica_set else []

    def reconcile(self, key: Key) -> float | None:
        deployment = self._api.find("Deployment", *key)
        if deployment is None or deleting(deployment):
            return None
        return Sync(self._api, deployment).run()


class Sync:
    """One look at one Deployment."""

    def __init__(self, api: Api, deployment: Object) -> None:
        self._api = api
        self._deployment = deployment
        self._spec = deployment["spec"]
        self._status: Object = deployment.get("status") or {}
        self._conditions = list(self._status.get("conditions") or ())
        sets = owned_by(api, deployment, "ReplicaSet")
        self._hash = rollout.template_hash(self._spec["template"])
        self._new = next((one for one in sets if one["metadata"]["labels"].get(HASH) == self._hash), None)
        self._old = [one for one in sets if one is not self._new]

    def run(self) -> float | None:
        if self._spec.get("paused"):
            self._scale_while_paused()
        elif (self._spec.get("strategy") or {}).get("type") == "Recreate":
            self._recreate()
        else:
            self._roll()
        again = self._write()
        self._forget_history()
        return again

    def _recreate(self) -> None:
        for replica_set in self._old:
            self._scale(replica_set, 0)
        pods = [pod for replica_set in self._old for pod in owned_by(self._api, replica_set, "Pod")]
        if all(finished(pod) for pod in pods):
            self._scale(self._ensure_new(), self._spec.get("replicas", 1))

    def _roll(self) -> None:
        new = self._ensure_new()
        self._scale(new, rollout.new_size(self._deployment, new, self._old))
        for replica_set, wanted in zip(self._old, rollout.old_sizes(self._deployment, new, self._old), strict=True):
            self._scale(replica_set, wanted)

    def _scale_while_paused(self) -> None:
        working = [one for one in [self._new, *self._old] if one and size(one)]
        if len(working) == 1:
            self._scale(working[0], self._spec.get("replicas", 1))

    # --- ReplicaSets

    def _ensure_new(self) -> Object:
        revision = str(1 + max((int(one["metadata"]["annotations"].get(REVISION, 0)) for one in self._old), default=0))
        if self._new is None:
            self._new = self._api.create("ReplicaSet", self._replica_set(revision))
            message = f'Created new replica set "{self._new["metadata"]["name"]}"'
            self._progressing("True", "NewReplicaSetCreated", message)
        elif int(self._new["metadata"]["annotations"].get(REVISION, 0)) < int(revision):
            self._annotate(self._new, revision)
        if not find_condition({"status": {"conditions": self._conditions}}, "Progressing"):
            message = f'Found new replica set "{self._new["metadata"]["name"]}"'
            self._progressing("True", "FoundNewReplicaSet", message)
        known = (self._deployment["metadata"].get("annotations") or {}).get(REVISION)
        there = self._new["metadata"]["annotations"][REVISION]
        if known != there:
            self._annotate(self._deployment, there)
        return self._new

    def _annotate(self, item: Object, revision: str) -> None:
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        self._api.patch(item["kind"], namespace, name, {"metadata": {"annotations": {REVISION: revision}}})
        item["metadata"].setdefault("annotations", {})[REVISION] = revision

    def _replica_set(self, revision: str) -> Object:
        metadata = self._deployment["metadata"]
        template = self._spec["template"]
        labels = {**(template["metadata"].get("labels") or {}), HASH: self._hash}
        selector = self._spec["selector"]
        chosen = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: self._hash}}
        return {
            "metadata": {
                "name": f"{metadata['name']}-{self._hash}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {REVISION: revision},
                "ownerReferences": [reference(self._deployment)],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": self._spec.get("minReadySeconds", 0),
                "selector": chosen,
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        }

    def _scale(self, replica_set: Object, wanted: int) -> None:
        was, name = size(replica_set), replica_set["metadata"]["name"]
        if was == wanted:
            return
        self._api.patch("ReplicaSet", replica_set["metadata"]["namespace"], name, {"spec": {"replicas": wanted}})
        replica_set["spec"]["replicas"] = wanted
        message = f"Scaled {'up' if wanted > was else 'down'} replica set {name} from {was} to {wanted}"
        record(self._api, self._deployment, "ScalingReplicaSet", message, COMPONENT)

    def _forget_history(self) -> None:
        keep = self._spec.get("revisionHistoryLimit", 10)
        idle = [one for one in self._old if not size(one) and not counted(one, "replicas") and not deleting(one)]
        idle.sort(key=lambda one: int(one["metadata"]["annotations"].get(REVISION, 0)))
        if self._is_complete(self._counts()):
            for replica_set in idle[: max(0, len(idle) - keep)]:
                place = replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
                attempt(lambda place=place: self._api.delete("ReplicaSet", *place))  # type: ignore[misc]

    # --- status

    def _counts(self) -> dict[str, int]:
        sets = [one for one in [self._new, *self._old] if one]

        def total(field: str) -> int:
            return sum(counted(one, field) for one in sets)

        return {
            "replicas": total("replicas"),
            "updatedReplicas": counted(self._new, "replicas") if self._new else 0,
            "readyReplicas": total("readyReplicas"),
            "availableReplicas": total("availableReplicas"),
            "unavailableReplicas": max(0, sum(map(size, sets)) - total("availableReplicas")),
            "terminatingReplicas": total("terminatingReplicas"),
        }

    def _is_complete(self, counts: dict[str, int]) -> bool:
        wanted = self._spec.get("replicas", 1)
        return all(counts[field] == wanted for field in ("replicas", "updatedReplicas", "availableReplicas"))

    def _write(self) -> float | None:
        counts = self._counts()
        self._judge_availability(counts)
        again = self._judge_progress(counts)
        status: dict[str, Any] = {key: value or None for key, value in counts.items()}
        status["terminatingReplicas"] = counts["terminatingReplicas"]
        status["observedGeneration"] = self._deployment["metadata"].get("generation", 1)
        status["conditions"] = self._conditions
        write_status(self._api, self._deployment, status)
        return again

    def _judge_availability(self, counts: dict[str, int]) -> None:
        least = self._spec.get("replicas", 1) - rollout.bounds(self._deployment)[1]
        enough = counts["availableReplicas"] >= least
        reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
        message = f"Deployment {'has' if enough else 'does not have'} minimum availability."
        self._set("Available", "True" if enough else "False", reason, message)
        failing = next((found for one in [self._new] if one and (found := find_condition(one, "ReplicaFailure"))), None)
        self._conditions = [condition for condition in self._conditions if condition["type"] != "ReplicaFailure"]
        if failing:
            self._set("ReplicaFailure", "True", failing["reason"], failing["message"])

    def _judge_progress(self, counts: dict[str, int]) -> float | None:
        """The Progressing condition; seconds until the deadline, while it counts."""
        current = next((one for one in self._conditions if one["type"] == "Progressing"), None)
        if self._spec.get("paused") or self._new is None or current is None:
            return None
        name = self._new["metadata"]["name"]
        settled = current["reason"] == "NewReplicaSetAvailable" and counts["replicas"] == counts["updatedReplicas"]
        if settled:
            return None
        if self._is_complete(counts):
            message = f'ReplicaSet "{name}" has successfully progressed.'
            self._progressing("True", "NewReplicaSetAvailable", message)
            return None
        if self._moves(counts):
            self._progressing("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
            return float(self._spec.get("progressDeadlineSeconds", 600))
        if current["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
            return None
        left = float(self._spec.get("progressDeadlineSeconds", 600)) - seconds_since(current["lastUpdateTime"])
        if left <= 0:
            message = f'ReplicaSet "{name}" has timed out progressing.'
            self._progressing("False", "ProgressDeadlineExceeded", message)
            return None
        return left

    def _moves(self, counts: dict[str, int]) -> bool:
        def was(field: str) -> int:
            return int(self._status.get(field) or 0)

        grew = any(counts[field] > was(field) for field in ("updatedReplicas", "readyReplicas", "availableReplicas"))
        old_now, old_before = counts["replicas"] - counts["updatedReplicas"], was("replicas") - was("updatedReplicas")
        return grew or old_now < old_before

    def _progressing(self, status: str, reason: str, message: str) -> None:
        self._set("Progressing", status, reason, message)

    def _set(self, kind: str, status: str, reason: str, message: str) -> None:
        old: Object = next((one for one in self._conditions if one["type"] == kind), {})
        same = (old.get("status"), old.get("reason"), old.get("message")) == (status, reason, message)
        fresh = kind == "Progressing" or not same
        updated = now() if fresh else old["lastUpdateTime"]
        self._conditions = with_condition(self._conditions, kind, status, reason, message, lastUpdateTime=updated)
