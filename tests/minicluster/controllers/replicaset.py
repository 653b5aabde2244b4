"""ReplicaSets: as many pods as wanted, and how many of them are ready."""

from minicluster.api import Api, ApiError, Change, Object
from minicluster.controllers.base import (
    Key,
    attempt,
    deleting,
    find_condition,
    finished,
    from_template,
    is_ready,
    own_or_owners_key,
    owned_by,
    phase,
    record,
    seconds_since,
    with_condition,
    write_status,
)
from minicluster.settings import Settings

COMPONENT = "replicaset-controller"


class ReplicaSetController:
    kinds = ("ReplicaSet", "Pod")

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api = api
        self._settings = settings

    def keys(self, change: Change) -> list[Key]:
        return own_or_owners_key(change, "ReplicaSet")

    def reconcile(self, key: Key) -> float | None:
        replica_set = self._api.find("ReplicaSet", *key)
        if replica_set is None:
            return None
        pods = owned_by(self._api, replica_set, "Pod")
        active = [pod for pod in pods if not finished(pod) and not deleting(pod)]
        failure = ""
        if not deleting(replica_set):
            failure = self._manage(replica_set, active)
        terminating = [pod for pod in pods if not finished(pod) and deleting(pod)]
        again = self._write(replica_set, [pod for pod in active if not deleting(pod)], len(terminating), failure)
        return self._settings.job_backoff_seconds if failure else again

    def _manage(self, replica_set: Object, active: list[Object]) -> str:
        """Create what is missing, delete what is too much; why a pod cannot be created."""
        wanted = replica_set["spec"].get("replicas", 1)
        while len(active) < wanted:
            try:
                active.append(self._create(replica_set))
            except ApiError as error:
                message = f"Error creating: {error}"
                record(self._api, replica_set, "FailedCreate", message, COMPONENT, warning=True)
                return message
        for pod in sorted(active, key=worth)[: len(active) - wanted]:
            self._delete(replica_set, pod)
        return ""

    def _create(self, replica_set: Object) -> Object:
        template = replica_set["spec"]["template"]
        body = from_template(replica_set, template, {}, generateName=f"{replica_set['metadata']['name']}-")
        pod = self._api.create("Pod", body)
        record(self._api, replica_set, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", COMPONENT)
        return pod

    def _delete(self, replica_set: Object, pod: Object) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        attempt(lambda: self._api.delete("Pod", namespace, name, uid=pod["metadata"]["uid"]))
        pod["metadata"]["deletionTimestamp"] = "now"
        record(self._api, replica_set, "SuccessfulDelete", f"Deleted pod: {name}", COMPONENT)

    def _write(self, replica_set: Object, active: list[Object], terminating: int, failure: str) -> float | None:
        wait = replica_set["spec"].get("minReadySeconds", 0)
        left = [wait - ready_for(pod) for pod in active if is_ready(pod)]
        conditions = list((replica_set.get("status") or {}).get("conditions") or ())
        if failure:
            conditions = with_condition(conditions, "ReplicaFailure", "True", "FailedCreate", failure)
        else:
            conditions = [condition for condition in conditions if condition["type"] != "ReplicaFailure"]
        status = {
            "observedGeneration": replica_set["metadata"].get("generation", 1),
            "replicas": len(active),
            "fullyLabeledReplicas": len(active) or None,
            "readyReplicas": len(left) or None,
            "availableReplicas": sum(seconds <= 0 for seconds in left) or None,
            "terminatingReplicas": terminating,
            "conditions": conditions or None,
        }
        write_status(self._api, replica_set, status)
        return min((seconds for seconds in left if seconds > 0), default=None)


def ready_for(pod: Object) -> float:
    return seconds_since((find_condition(pod, "Ready") or {})["lastTransitionTime"])


def worth(pod: Object) -> tuple[object, ...]:
    """Sorts those first that are missed least: not scheduled, not running, not ready, youngest."""
    age = seconds_since(pod["metadata"]["creationTimestamp"])
    return bool(pod["spec"].get("nodeName")), phase(pod) == "Running", is_ready(pod), age
