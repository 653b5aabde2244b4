"""Disruption budgets and the evictions they hold up."""

import copy

from minicluster.errors import ApiError, about
from minicluster.resources import Object, Resources
from minicluster.selectors import by_label_selector
from minicluster.store import Store, Subscription


class Disruption:
    def __init__(self, store: Store, resources: Resources) -> None:
        self._store = store
        self._resources = resources

    async def run(self) -> None:
        """Keep the status of the budgets true."""
        watched = [self._resources[kind] for kind in ("Pod", "PodDisruptionBudget", "ReplicaSet")]
        changes: Subscription = self._store.subscribe(watched)
        try:
            async for change in changes:
                for budget in self._budgets(change.object["metadata"].get("namespace")):
                    self._write_status(budget)
        finally:
            changes.close()

    def _budgets(self, namespace: str | None) -> list[Object]:
        return self._store.items(self._resources["PodDisruptionBudget"], namespace)

    def _write_status(self, budget: Object) -> None:
        status = {**self.status(budget), "observedGeneration": budget["metadata"]["generation"]}
        if budget.get("status") != status:
            changed = copy.deepcopy(budget)
            changed["status"] = status
            self._store.replace(self._resources["PodDisruptionBudget"], changed, budget)

    def status(self, budget: Object) -> Object:
        pods = self._pods(budget)
        expected = self._expected(pods)
        healthy = sum(_is_healthy(pod) for pod in pods)
        spec = budget["spec"]
        if "maxUnavailable" in spec:
            desired = expected - _number(spec["maxUnavailable"], expected)
        else:
            desired = _number(spec.get("minAvailable", 0), expected)
        return {
            "currentHealthy": healthy,
            "desiredHealthy": max(desired, 0),
            "expectedPods": expected,
            "disruptionsAllowed": max(healthy - max(desired, 0), 0) if expected else 0,
        }

    def _pods(self, budget: Object) -> list[Object]:
        chosen = by_label_selector(budget["spec"].get("selector"))
        return [
            pod for pod in self._store.items(self._resources["Pod"], budget["metadata"]["namespace"]) if chosen(pod)
        ]

    def _expected(self, pods: list[Object]) -> int:
        """How many pods their controllers want; a pod without one counts for itself."""
        wanted: dict[str, int] = {}
        alone = 0
        for pod in pods:
            owner = next(
                (owner for owner in pod["metadata"].get("ownerReferences") or () if owner.get("controller")), None
            )
            sets = self._resources["ReplicaSet"]
            found = self._store.find(sets, pod["metadata"]["namespace"], owner["name"]) if owner else None
            if found is None:
                alone += 1
            else:
                wanted[found["metadata"]["uid"]] = found["spec"].get("replicas", 1)
        return sum(wanted.values()) + alone

    def check_eviction(self, pod: Object) -> None:
        """ApiError 429 where a budget has no disruption left; what does not run, or serves nothing, may go."""
        if (pod.get("status") or {}).get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
            return
        for budget in self._budgets(pod["metadata"]["namespace"]):
            chosen = by_label_selector(budget["spec"].get("selector"))
            status = self.status(budget)
            enough = not _is_healthy(pod) and status["currentHealthy"] >= status["desiredHealthy"] > 0
            if chosen(pod) and status["disruptionsAllowed"] < 1 and not enough:
                raise _held_up(self._resources, pod, budget, status)


def _held_up(resources: Resources, pod: Object, budget: Object, status: Object) -> ApiError:
    name = budget["metadata"]["name"]
    wanted, there = status["desiredHealthy"], status["currentHealthy"]
    told = f"The disruption budget {name} needs {wanted} healthy pods and has {there} currently"
    causes = [{"reason": "DisruptionBudget", "message": told}]
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(
        429, "TooManyRequests", message, {**about(resources["Pod"], pod["metadata"]["name"]), "causes": causes}
    )


def _is_healthy(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _number(value: int | str, whole: int) -> int:
    if isinstance(value, int):
        return value
    return -(-int(value.removesuffix("%")) * whole // 100)
