"""Jobs: creates their pods, counts them once each, and decides when a Job is done."""

from minicluster.api import Api, ApiError, Change, Object
from minicluster.controllers.base import (
    Key,
    attempt,
    deleting,
    find_condition,
    finished,
    from_template,
    is_ready,
    is_true,
    key_of,
    own_or_owners_key,
    owned_by,
    owner_of,
    phase,
    record,
    seconds_since,
    with_condition,
    write_status,
)
from minicluster.controllers.job_indexes import add_index, as_ranges, from_ranges, index_of
from minicluster.controllers.job_policy import judge
from minicluster.settings import Settings
from minicluster.store import now

COMPONENT = "job-controller"
TRACKING = "batch.kubernetes.io/job-tracking"


class JobController:
    kinds = ("Job", "Pod")

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api = api
        self._settings = settings

    def keys(self, change: Change) -> list[Key]:
        return own_or_owners_key(change, "Job")

    def reconcile(self, key: Key) -> float | None:
        job = self._api.find("Job", *key)
        self._release_orphans(key, job)
        if job is None:
            return None
        pods = owned_by(self._api, job, "Pod")
        if is_true(job, "Complete") or is_true(job, "Failed") or deleting(job):
            for pod in pods:
                release(self._api, pod)
            return self._collect(job)
        return Sync(self._api, self._settings, job, pods).run()

    def _release_orphans(self, key: Key, job: Object | None) -> None:
        for pod in self._api.list("Pod", key[0]):
            owner = owner_of(pod)
            ours = owner and (owner["kind"], owner["name"]) == ("Job", key[1])
            if owner and ours and (job is None or owner["uid"] != job["metadata"]["uid"]):
                release(self._api, pod)

    def _collect(self, job: Object) -> float | None:
        """ttlSecondsAfterFinished."""
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        done = find_condition(job, "Complete") or find_condition(job, "Failed")
        if ttl is None or done is None or deleting(job):
            return None
        left = float(ttl) - seconds_since(done["lastTransitionTime"])
        if left > 0:
            return left
        self._api.delete("Job", *key_of(job), propagation="Foreground", uid=job["metadata"]["uid"])
        return None


class Sync:
    """One look at one Job that is not done."""

    def __init__(self, api: Api, settings: Settings, job: Object, pods: list[Object]) -> None:
        self._api = api
        self._settings = settings
        self._job = job
        self._spec = job["spec"]
        self._status = dict(job.get("status") or {})
        self._conditions = list(self._status.get("conditions") or ())
        self._pods = pods
        self._again: float | None = None
        self._replaces_late = self._policy() == "Failed"

    def _policy(self) -> str:
        default = "Failed" if self._spec.get("podFailurePolicy") else "TerminatingOrFailed"
        return str(self._spec.get("podReplacementPolicy") or default)

    def run(self) -> float | None:
        self._resume_or_suspend()
        counted = self._count()
        self._decide()
        self._manage()
        self._finish()
        self._write()
        for pod in counted:
            release(self._api, pod)
        return self._again

    # --- what is there

    def _active(self) -> list[Object]:
        return [pod for pod in self._pods if not finished(pod) and not deleting(pod)]

    def _terminating(self) -> list[Object]:
        return [pod for pod in self._pods if not finished(pod) and deleting(pod)]

    def _failed(self, pod: Object) -> bool:
        if phase(pod) == "Failed":
            return True
        return not self._replaces_late and deleting(pod) and phase(pod) != "Succeeded"

    def _count(self) -> list[Object]:
        """Pods that ended since the last look go into succeeded and failed, each once: then they lose their finalizer."""
        new = [pod for pod in self._pods if TRACKING in (pod["metadata"].get("finalizers") or ())]
        succeeded = [pod for pod in new if phase(pod) == "Succeeded"]
        failed = [pod for pod in new if self._failed(pod)]
        self._status["succeeded"] = self._status.get("succeeded", 0) + len(succeeded)
        if self._indexed():
            self._complete_indexes(succeeded)
        for pod in failed:
            verdict = judge(self._spec.get("podFailurePolicy"), pod)
            if verdict.action != "Ignore":
                self._status["failed"] = self._status.get("failed", 0) + 1
            if verdict.action == "FailJob":
                self._target("FailureTarget", "PodFailurePolicy", verdict.message)
        return succeeded + failed

    # --- what follows

    def _decide(self) -> None:
        limit = self._spec.get("backoffLimit", 6)
        if self._has("FailureTarget") or self._has("SuccessCriteriaMet"):
            return
        if self._status.get("failed", 0) > limit or self._restarts() > limit:
            self._target("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif self._is_late():
            self._target("FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif self._is_enough():
            message = "Reached expected number of succeeded pods"
            self._target("SuccessCriteriaMet", "CompletionsReached", message)

    def _restarts(self) -> int:
        """Restarts in place count where the pods restart by themselves."""
        if self._spec["template"]["spec"].get("restartPolicy") != "OnFailure":
            return 0
        statuses = [status for pod in self._active() for status in pod.get("status", {}).get("containerStatuses") or ()]
        return sum(status.get("restartCount", 0) for status in statuses)

    def _is_late(self) -> bool:
        deadline = self._spec.get("activeDeadlineSeconds")
        if deadline is None or not self._status.get("startTime"):
            return False
        left = float(deadline) - seconds_since(self._status["startTime"])
        if left > 0:
            self._look_again(left)
        return left <= 0

    def _is_enough(self) -> bool:
        completions = self._spec.get("completions")
        succeeded = self._succeeded()
        if completions is None:
            return succeeded > 0 and not self._active() and not self._terminating()
        return succeeded >= int(completions)

    def _manage(self) -> None:
        if self._has("FailureTarget") or self._has("SuccessCriteriaMet") or self._spec.get("suspend"):
            for pod in self._active():
                self._delete(pod)
            return
        occupied = len(self._active()) + (len(self._terminating()) if self._replaces_late else 0)
        missing = self._wanted() - occupied
        if missing > 0 and not self._backs_off():
            for index in self._free_indexes()[:missing] if self._indexed() else [None] * missing:
                self._create(index)
        for pod in self._active()[self._spec.get("parallelism", 1) :] if missing < 0 else ():
            self._delete(pod)

    def _wanted(self) -> int:
        parallelism, completions = self._spec.get("parallelism", 1), self._spec.get("completions")
        if completions is None:
            return len(self._active()) if self._succeeded() else int(parallelism)
        return min(int(parallelism), int(completions) - self._succeeded())

    def _backs_off(self) -> bool:
        """A failed pod is replaced after a while that doubles with every failure."""
        failures = self._status.get("failed", 0)
        ends = [ended_at(pod) for pod in self._pods if phase(pod) == "Failed"]
        if not failures or not ends:
            return False
        wait: float = self._settings.job_backoff_seconds * 2 ** (failures - 1)
        left: float = min(self._settings.most_backoff_seconds, wait) - seconds_since(max(ends))
        if left > 0:
            self._look_again(left)
        return left > 0

    def _finish(self) -> None:
        """The last condition comes when no pod runs any more."""
        target = self._has("FailureTarget") or self._has("SuccessCriteriaMet")
        if not target or self._active() or self._terminating():
            return
        won = target["type"] == "SuccessCriteriaMet"
        self._set("Complete" if won else "Failed", "True", target["reason"], target["message"])
        if won:
            self._status["completionTime"] = now()
            record(self._api, self._job, "Completed", "Job completed", COMPONENT)
        else:
            record(self._api, self._job, target["reason"], target["message"], COMPONENT, warning=True)

    def _resume_or_suspend(self) -> None:
        suspended = bool(self._spec.get("suspend"))
        was = (self._has("Suspended") or {}).get("status") == "True"
        if suspended and not was:
            self._set("Suspended", "True", "JobSuspended", "Job suspended")
            self._status["startTime"] = None
            record(self._api, self._job, "Suspended", "Job suspended", COMPONENT)
        elif was and not suspended:
            self._set("Suspended", "False", "JobResumed", "Job resumed")
            record(self._api, self._job, "Resumed", "Job resumed", COMPONENT)
        if not suspended and not self._status.get("startTime"):
            self._status["startTime"] = now()

    # --- indexes

    def _indexed(self) -> bool:
        return bool(self._spec.get("completionMode") == "Indexed")

    def _done_indexes(self) -> set[int]:
        return from_ranges(str(self._status.get("completedIndexes") or ""))

    def _complete_indexes(self, succeeded: list[Object]) -> None:
        done = self._done_indexes() | {index_of(pod) for pod in succeeded}
        self._status["completedIndexes"] = as_ranges(sorted(done))

    def _free_indexes(self) -> list[int]:
        waited_for = self._active() + (self._terminating() if self._replaces_late else [])
        taken = self._done_indexes() | {index_of(pod) for pod in waited_for}
        return [index for index in range(self._spec.get("completions", 0)) if index not in taken]

    def _succeeded(self) -> int:
        return len(self._done_indexes()) if self._indexed() else int(self._status.get("succeeded", 0))

    # --- writing

    def _create(self, index: int | None) -> None:
        name, uid = self._job["metadata"]["name"], self._job["metadata"]["uid"]
        labels = {"controller-uid": uid, "job-name": name}
        labels |= {f"batch.kubernetes.io/{key}": value for key, value in labels.items()}
        prefix = name if index is None else f"{name}-{index}"
        body = from_template(
            self._job, self._spec["template"], labels, generateName=f"{prefix}-", finalizers=[TRACKING]
        )
        if index is not None:
            add_index(body, index, prefix)
        try:
            pod = self._api.create("Pod", body)
        except ApiError as error:
            record(self._api, self._job, "FailedCreate", f"Error creating: {error}", COMPONENT, warning=True)
            self._look_again(self._settings.job_backoff_seconds)
            return
        self._pods.append(pod)
        record(self._api, self._job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", COMPONENT)

    def _delete(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        attempt(lambda: self._api.delete("Pod", *key_of(pod), uid=pod["metadata"]["uid"]))
        pod["metadata"].setdefault("deletionTimestamp", now())
        record(self._api, self._job, "SuccessfulDelete", f"Deleted pod: {name}", COMPONENT)

    def _has(self, kind: str) -> Object | None:
        return next((condition for condition in self._conditions if condition["type"] == kind), None)

    def _set(self, kind: str, status: str, reason: str, message: str) -> None:
        self._conditions = with_condition(self._conditions, kind, status, reason, message, lastProbeTime=now())

    def _target(self, kind: str, reason: str, message: str) -> None:
        if not self._has("FailureTarget") and not self._has("SuccessCriteriaMet"):
            self._set(kind, "True", reason, message)

    def _look_again(self, seconds: float) -> None:
        self._again = seconds if self._again is None else min(self._again, seconds)

    def _write(self) -> None:
        self._status |= {
            "active": len(self._active()),
            "terminating": len(self._terminating()),
            "ready": sum(is_ready(pod) for pod in self._active()),
            "conditions": self._conditions,
            "uncountedTerminatedPods": {},
        }
        for field in ("active", "succeeded", "failed"):
            self._status[field] = self._status.get(field) or None
        write_status(self._api, self._job, self._status)


def ended_at(pod: Object) -> str:
    ends = [
        status["state"]["terminated"]["finishedAt"]
        for status in pod["status"].get("containerStatuses") or ()
        if "terminated" in (status.get("state") or {})
    ]
    return str(max(ends, default=pod["metadata"]["creationTimestamp"]))


def release(api: Api, pod: Object) -> None:
    """Let go of a pod that is counted."""
    held = pod["metadata"].get("finalizers") or []
    if TRACKING in held:
        left = [name for name in held if name != TRACKING]
        attempt(lambda: api.patch("Pod", *key_of(pod), {"metadata": {"finalizers": left}}))
