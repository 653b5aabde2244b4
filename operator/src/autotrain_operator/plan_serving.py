"""What is done about serving: the verdict on a rollout, the revision to serve, the children that serve it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from autotrain_api import names
from autotrain_api.names import Reason, Stage
from autotrain_api.status import Failure
from autotrain_operator import observe, pods, serving, storage, waiting
from autotrain_operator.context import Action, Apply, Context, Create, Delete
from autotrain_operator.kube import Object
from autotrain_operator.serving import Served

POLL_SECONDS = 5
PERMANENT = frozenset(
    {
        Reason.BUNDLE_ALTERED,
        Reason.BUNDLE_INCOMPLETE,
        Reason.SCHEMA_UNSUPPORTED,
        Reason.CLASSES_MISMATCH,
        Reason.GOLDEN_MISMATCH,
        Reason.ENGINE_MISSING,
        Reason.PRECISION_UNAVAILABLE,
        Reason.FUNCTION_FAILED,
    }
)
"""What a pod says of its bundle when waiting cannot help."""
TOLD = PERMANENT | {Reason.CRASHED, Reason.BUNDLE_UNREACHABLE}
"""What else a pod says of itself that explains why it is not ready."""

State = Literal["Disabled", "Nothing", "RollingOut", "Complete", "Failing"]


@dataclass(frozen=True)
class Serving:
    """How serving stands."""

    state: State
    target: str = ""
    """The revision that the Deployment is to serve."""
    reason: str = ""
    message: str = ""
    """While RollingOut or Failing: why it is not done."""
    ready: int = 0
    replicas: int = 0
    wanted: int = 0
    pin_problem: str = ""
    """Why spec.serving.revision cannot be served."""
    actions: tuple[Action, ...] = ()

    @property
    def requeue(self) -> float | None:
        short = self.state == "Complete" and self.ready < self.wanted
        return POLL_SECONDS if short or self.state in ("RollingOut", "Failing") else None


def plan_serving(context: Context) -> Serving:
    """Write the verdict on the rollout into the ledger, and say what is to be served."""
    seen, wanted = context.seen, context.spec.serving
    if not wanted.enabled:
        return Serving("Disabled", actions=_removed(context, seen.deployment, seen.service, seen.budget))
    judge_rollout(context)
    pin_problem = unservable_pin(context)
    target = target_revision(context)
    if not target:
        return Serving("Nothing", wanted=wanted.replicas, pin_problem=pin_problem)
    state, reason, message = _stand(context, target)
    status = (seen.deployment or {}).get("status", {})
    return Serving(
        state,
        target,
        reason,
        message,
        status.get("readyReplicas", 0),
        status.get("replicas", 0),
        wanted.replicas,
        pin_problem,
        _children(context, target),
    )


def _removed(context: Context, *children: Object | None) -> tuple[Action, ...]:
    """Of what has our names, only what is ours."""
    live = (child for child in children if child is not None and "deletionTimestamp" not in child["metadata"])
    return tuple(Delete(child) for child in live if observe.owner_uid(child) == context.owner.uid)


def untouched(seen: observe.Observed) -> Serving:
    """What goes on to answer while nothing can be decided."""
    return Serving("Nothing", ready=(seen.deployment or {}).get("status", {}).get("readyReplicas", 0))


# --- the verdict


def judge_rollout(context: Context) -> None:
    """Complete: this is what is served from now on. Too late: if the revision is what changed, it failed.

    Without a pod there is no verdict: a model that never ran is not known to answer.
    """
    live, ledger = context.seen.deployment, context.ledger
    if live is None or not (revision := live["metadata"].get("labels", {}).get(names.LABEL_REVISION)):
        return
    record, template = ledger.record(revision), template_of(live)
    judged = record.rollout_template == template
    if complete(live):
        if not live["spec"].get("replicas", 1):
            return
        ledger.served, ledger.loaded_sha256 = revision, bundle_of(live)
        if not (judged and record.rollout == "Succeeded"):
            cleared = {"failure": None} if _failed_in_rollout(record.failure) else {}
            ledger.decide(revision, rollout="Succeeded", rollout_template=template, **cleared)
    elif revision != ledger.served and not (judged and record.rollout == "Failed"):
        reason, message = _why_not_ready(context)
        if not (too_late(live) or (reason in PERMANENT and never_late(live))):
            return
        failure = Failure(
            stage=Stage.ROLLOUT,
            reason=reason or Reason.ROLLOUT_DEADLINE,
            message=f"not ready within spec.policy.deadlines.rolloutSeconds"
            f" ({context.spec.policy.deadlines.rollout_seconds} s){f': {message}' if message else ''}",
            hint="See the pods' logs; `kubectl annotate` autotrain.dev/retry tries again.",
        )
        ledger.decide(revision, rollout="Failed", rollout_template=template, failure=failure)


def _failed_in_rollout(failure: Failure | None) -> bool:
    return failure is not None and failure.stage == Stage.ROLLOUT


def complete(deployment: Object) -> bool:
    """Every wanted pod is there, new, and ready; no old one is left."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return observed(deployment) and (
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def observed(deployment: Object) -> bool:
    """Whether the status is about the spec as it stands."""
    generation: int = deployment["metadata"].get("generation", 0)
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= generation)


def too_late(deployment: Object) -> bool:
    """ProgressDeadlineExceeded, and about what we applied last: the condition of an earlier template can linger."""
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            when = datetime.fromisoformat(condition["lastUpdateTime"])
            return observed(deployment) and when > (last_change(deployment) or datetime.min.replace(tzinfo=when.tzinfo))
    return False


def never_late(deployment: Object) -> bool:
    """Whether the deadline is over and done with, as after a rollout without pods: those that come later have none."""
    conditions = deployment.get("status", {}).get("conditions", [])
    return observed(deployment) and any(
        condition["type"] == "Progressing" and condition.get("reason") == "NewReplicaSetAvailable"
        for condition in conditions
    )


def last_change(deployment: Object) -> datetime | None:
    """When this operator last changed the Deployment."""
    times = [
        datetime.fromisoformat(entry["time"])
        for entry in deployment["metadata"].get("managedFields", [])
        if entry.get("manager") == names.MANAGER and not entry.get("subresource") and entry.get("time")
    ]
    return max(times, default=None)


def template_of(deployment: Object) -> str:
    """Digest of the pod template that we applied."""
    return str(deployment["metadata"].get("annotations", {}).get(names.ANNOTATION_DESIRED, ""))


def bundle_of(deployment: Object) -> str:
    """Digest of the bundle that the pods verify."""
    (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    return str(variables.get(serving.BUNDLE_SHA256, ""))


# --- what is to be served


def unservable_pin(context: Context) -> str:
    """Why the pinned revision cannot be served; empty when it can, or none is pinned."""
    pin = context.spec.serving.revision
    record = context.ledger.record(pin)
    if not pin or pin == context.revision or (record.trained == "Succeeded" and record.gate != "Refused"):
        return ""
    if record.gate == "Refused":
        return f"spec.serving.revision: {pin} did not pass its gate"
    known = sorted(r.revision for r in context.ledger.records.values() if r.trained == "Succeeded")
    return f"spec.serving.revision: no trained revision {pin!r}; there is {', '.join(known) or 'none yet'}"


def target_revision(context: Context) -> str:
    """The revision that the Deployment is to serve; empty: none yet."""
    ledger = context.ledger
    if context.spec.serving.revision and unservable_pin(context):
        return ledger.served
    wanted = context.spec.serving.revision or context.revision
    record = ledger.record(wanted)
    if (
        record.trained != "Succeeded"
        or record.gate == "Refused"
        or (record.gate is None and wanted == context.revision)
    ):
        return ledger.served
    return ledger.served if rolled_back(context, wanted) else wanted


def rolled_back(context: Context, revision: str) -> bool:
    """Whether this revision, in this form, failed to roll out and an earlier one is there to come back to."""
    return context.ledger.served not in ("", revision) and rollout_failed(context, revision)


def rollout_failed(context: Context, revision: str) -> bool:
    """Whether it failed to roll out in the form that the spec gives it now."""
    record = context.ledger.record(revision)
    return record.rollout == "Failed" and record.rollout_template == pods.digest(_template(context, revision))


def _served(context: Context, revision: str) -> Served:
    return Served(revision, context.ledger.record(revision).bundle_sha256)


def _template(context: Context, revision: str) -> Object:
    together = storage.on_one_node(context.seen.claim, context.spec)
    return serving.template(
        context.owner, context.spec, _served(context, revision), context.settings, together, context.own
    )


def _children(context: Context, target: str) -> tuple[Action, ...]:
    """Deployment, Service and budget in the form they should have."""
    seen, owner = context.seen, context.owner
    together = context.spec.serving.replicas > 1 and storage.on_one_node(seen.claim, context.spec)
    budget = serving.disruption_budget(owner, together)
    pairs = [(serving.service(owner), seen.service), (budget, seen.budget)]
    if context.ledger.record(target).bundle_sha256:  # unknown where the status was lost: what runs stays as it is
        body = serving.deployment(
            owner, context.spec, _served(context, target), context.settings, seen.claim, context.own
        )
        pairs.insert(0, (body, seen.deployment))
    live = [(body, child) for body, child in pairs if child is None or "deletionTimestamp" not in child["metadata"]]
    return tuple(Create(body) if child is None else Apply(body, child) for body, child in live)


# --- how it stands


def _stand(context: Context, target: str) -> tuple[State, str, str]:
    """State, reason and message of the Deployment on its way to `target`."""
    live = context.seen.deployment
    if live is None:
        return "RollingOut", Reason.ROLLING_OUT, f"rolling out {target}"
    here = live["metadata"].get("labels", {}).get(names.LABEL_REVISION) == target
    applied = not context.ledger.record(target).bundle_sha256 or template_of(live) == pods.digest(
        _template(context, target)
    )
    if here and applied and complete(live):
        if not context.spec.serving.replicas:
            return "Complete", Reason.ROLLED_OUT, f"{target} has no pods: spec.serving.replicas is 0"
        where = storage.limits_of(context.seen.claim, context.spec)
        return "Complete", Reason.ROLLED_OUT, f"{target} answers; {where}" if where else f"{target} answers"
    updated = live.get("status", {}).get("updatedReplicas", 0) if here and applied and observed(live) else 0
    progress = f"{updated} of {context.spec.serving.replicas} pods serve {target}"
    if not (here and applied):
        return "RollingOut", Reason.ROLLING_OUT, progress
    reason, message = _why_not_ready(context)
    record = context.ledger.record(target)
    done_before = context.ledger.served == target and record.rollout_template == template_of(live)
    if done_before and record.rollout == "Succeeded" and reason not in PERMANENT:
        return "Complete", Reason.ROLLED_OUT, message or f"{target} was rolled out"
    if too_late(live):
        return "Failing", reason or Reason.ROLLOUT_DEADLINE, message or f"the deadline has passed: {progress}"
    if reason in PERMANENT:
        return "Failing", reason, message
    return "RollingOut", reason or Reason.ROLLING_OUT, message or progress


def _why_not_ready(context: Context) -> tuple[str, str]:
    """What serving pods say of themselves, or what they wait for."""
    for answer in context.seen.unready:
        if answer.get("reason") in TOLD:
            return str(answer["reason"]), str(answer.get("message", ""))[: waiting.MESSAGE_LENGTH]
    for pod in context.seen.serving_pods:
        if "deletionTimestamp" not in pod["metadata"] and not observe.is_ready(pod):
            found = waiting.waiting_of(pod)
            if found is not None:
                return found.reason, str(found)
    if (message := refused_pods(context.seen.deployment)) is not None:
        return waiting.refused(message).reason, str(waiting.refused(message))
    return "", ""


def refused_pods(deployment: Object | None) -> str | None:
    """Why the ReplicaSet cannot create pods (quota, Pod Security), as the Deployment tells."""
    for condition in (deployment or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message", ""))
    return None
