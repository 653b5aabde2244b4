"""START HERE for what the operator decides: one object, what was seen of it, and the time -> status and actions. Pure.

spec -> revision -> verdicts on what has ended (plan_training, plan_serving) -> what is next -> what the status says
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autotrain_api import names
from autotrain_api.names import Condition, Reason
from autotrain_api.outcome import Progress
from autotrain_api.revision import recipe_of, revision_of
from autotrain_api.status import ConditionStatus, Metrics, RevisionRecord, ServingStatus, Status
from autotrain_api.trainingjob import Spec
from autotrain_operator import observe, serving, storage
from autotrain_operator.conditions import Said, View, conditions_of, failure_of, phase_of
from autotrain_operator.context import Action, Context
from autotrain_operator.functions import own_functions
from autotrain_operator.kube import Object
from autotrain_operator.ledger import Ledger, read_status, timestamp
from autotrain_operator.observe import Observed
from autotrain_operator.plan_serving import Serving, plan_serving, rolled_back, rollout_failed, untouched
from autotrain_operator.plan_training import judge_gate, plan_training
from autotrain_operator.pods import Owner
from autotrain_operator.settings import Settings
from autotrain_operator.validate import SpecError, check_meaning, parse_spec
from autotrain_operator.waiting import Waiting

DELETION_POLL_SECONDS = 2
FUNCTIONS_POLL_SECONDS = 10
SHOWN_DIGITS = 4
"""Of metrics in the status; verdicts are taken on all digits."""


@dataclass(frozen=True)
class Step:
    """What one pass does: write the status, then act; look again after a while even if nothing happens."""

    status: Status
    training: tuple[Action, ...] = ()
    """Each builds on the one before it."""
    serving: tuple[Action, ...] = ()
    """Nothing of them waits for training: what answers is kept up while a Job is refused."""
    requeue_after: float | None = None


def next_step(obj: Object, seen: Observed, settings: Settings, now: datetime) -> Step:
    """The whole decision about one TrainingJob."""
    before = read_status(obj.get("status"))
    try:
        spec = parse_spec(obj["spec"])
        check_meaning(spec)
    except SpecError as error:
        return held(obj, before, seen, now, invalid=error)
    own = own_functions(spec, seen.functions)
    if isinstance(own, Waiting):
        return held(obj, before, seen, now, FUNCTIONS_POLL_SECONDS, spec=spec, blocked=own)
    revision = revision_of(recipe_of(spec, own.sha256 if own else ""))
    owner = Owner(obj["metadata"]["namespace"], obj["metadata"]["name"], obj["metadata"]["uid"])
    context = Context(owner, spec, seen, settings, Ledger.of(before, revision, now), own)
    _answer_retry(context, obj["metadata"].get("annotations", {}).get(names.ANNOTATION_RETRY, ""))
    if (taken := foreign(context) or leaving(context)) is not None:
        record, answering = context.ledger.current, untouched(seen)
        view = View(record, spec, blocked=taken, serving=answering, served=context.ledger.served)
        return Step(_status(obj, before, view, context), requeue_after=DELETION_POLL_SECONDS)
    training = plan_training(context)
    judge_gate(context)
    served = plan_serving(context)
    view = View(
        context.ledger.current,
        spec,
        blocked=seen.refusal,
        training=training,
        serving=served,
        served=context.ledger.served,
        rollout_failed=rollout_failed(context, revision),
        rolled_back=not spec.serving.revision and rolled_back(context, revision),
    )
    requeue = [seconds for seconds in (training.requeue(now), served.requeue) if seconds is not None]
    status = _status(obj, before, view, context)
    return Step(status, training.actions, served.actions, min(requeue, default=None))


def _answer_retry(context: Context, retry: str) -> None:
    """A new text in the annotation lets a revision that failed be tried once more."""
    record = context.ledger.current
    if not retry or retry == record.retry:
        return
    if record.trained == "Failed" or record.rollout == "Failed" or record.gate == "Refused":
        context.ledger.forget(record.revision, retry)
    else:
        context.ledger.decide(record.revision, retry=retry)


# --- whose children they are


def named_children(context: Context) -> list[Object]:
    """The children whose names another object could have taken."""
    seen = context.seen
    children = [seen.deployment, seen.service, seen.budget] if context.spec.serving.enabled else []
    if storage.models_of(context.owner, context.spec).own:
        children.append(seen.claim)
    return [child for child in children if child is not None]


def foreign(context: Context) -> Waiting | None:
    """A child's name that belongs to somebody else. It is never touched, and nothing is begun."""
    for child in named_children(context):
        labels = child["metadata"].get("labels", {})
        kept = child["kind"] == "PersistentVolumeClaim" and observe.owner_uid(child) is None
        ours = labels.get(names.LABEL_JOB) == context.owner.name and labels.get(names.LABEL_MANAGED_BY) == names.MANAGER
        if (kept and ours) or observe.owner_kind(child) == names.KIND:
            continue
        what = f"{child['kind']} {child['metadata']['name']} belongs to somebody else"
        return Waiting(Reason.NAME_CONFLICT, what, "Rename this TrainingJob, or move that object away.")
    return None


def leaving(context: Context) -> Waiting | None:
    """Children of an earlier object of the same name: wait until they are gone."""
    uid = context.owner.uid
    old = [child for child in named_children(context) if observe.owner_uid(child) not in (uid, None)]
    if not (old := [*context.seen.strangers, *old]):
        return None
    what = ", ".join(f"{child['kind']} {child['metadata']['name']}" for child in old[:3])
    return Waiting(Reason.WAITING_FOR_DELETION, f"{what} of an earlier object of this name is being deleted", "")


# --- the status


def held(
    obj: Object, before: Status, seen: Observed, now: datetime, requeue_after: float | None = None, **why: Any
) -> Step:
    """The revision cannot be told, and nothing is touched; the status says `why`, a field of View."""
    record = RevisionRecord(revision=before.revision)
    view = View(record, serving=untouched(seen), served=before.serving.revision, **why)
    said = conditions_of(view)
    return Step(
        Status(
            phase=phase_of(view, said),
            observed_generation=obj["metadata"]["generation"],
            revision=before.revision,
            conditions=_timed(said, before, obj["metadata"]["generation"], now),
            failure=failure_of(view),
            attempts=before.attempts,
            revisions=before.revisions,
            serving=before.serving,
        ),
        requeue_after=requeue_after,
    )


def _status(obj: Object, before: Status, view: View, context: Context) -> Status:
    ledger, generation = context.ledger, obj["metadata"]["generation"]
    said = conditions_of(view)
    return Status(
        phase=phase_of(view, said),
        observed_generation=generation,
        revision=ledger.revision,
        conditions=_timed(said, before, generation, ledger.now),
        progress=_progress(before, view, context),
        metrics=_metrics(view.record),
        attempts=ledger.kept_attempts(),
        failure=failure_of(view),
        revisions=ledger.kept_records(context.spec.serving.revision),
        serving=_serving(view.serving, context, before),
    )


def _timed(said: dict[Condition, Said], before: Status, generation: int, now: datetime) -> list[ConditionStatus]:
    """lastTransitionTime changes only when the status changes."""
    known = {condition.type: condition for condition in before.conditions}
    conditions = []
    for name, (status, reason, message) in said.items():
        same = name in known and known[name].status == status
        since = known[name].last_transition_time if same else timestamp(now)
        conditions.append(
            ConditionStatus(
                type=name,
                status=status,  # type: ignore[arg-type]
                reason=reason,
                message=message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return conditions


def _progress(before: Status, view: View, context: Context) -> Progress | None:
    """The trainer's own words while it runs; 100 % when it is done; otherwise nothing."""
    fresh = context.seen.progress
    if view.training.state == "Running":
        return fresh or (before.progress if before.revision == context.revision else None)
    if view.record.trained == "Succeeded":
        last = before.progress if before.revision == context.revision and before.progress else Progress()
        return last.model_copy(update={"percent": 100, "message": "trained", "remaining_seconds": None})
    return None


def _metrics(record: RevisionRecord) -> Metrics | None:
    if not record.metrics:
        return None
    first = record.metrics[0]
    best, low, high = (round(value, SHOWN_DIGITS) for value in (first.value, first.low, first.high))
    return Metrics(
        name=first.name,
        best=best,
        samples=first.samples,
        low=low,
        high=high,
        worst_classes=record.worst_classes,
    )


def _serving(state: Serving, context: Context, before: Status) -> ServingStatus:
    ledger = context.ledger
    if state.state == "Disabled":
        return ServingStatus(revision=ledger.served, loaded_sha256=ledger.loaded_sha256)
    if state.state == "Nothing":
        return before.serving
    selector = ",".join(f"{key}={value}" for key, value in serving.selector(context.owner).items())
    return ServingStatus(
        url=serving.url(context.owner),
        replicas=state.replicas,
        ready_replicas=state.ready,
        selector=selector,
        revision=ledger.served,
        loaded_sha256=ledger.loaded_sha256,
    )


def readable_spec(obj: Object) -> Spec | None:
    """The spec, where it can be read at all."""
    try:
        return parse_spec(obj["spec"])
    except SpecError:
        return None
