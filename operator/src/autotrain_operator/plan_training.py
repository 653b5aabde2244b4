"""What is done about training: verdicts on finished Jobs, Jobs to stop, the next Job to create. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from autotrain_api import names
from autotrain_api.names import Reason, Stage
from autotrain_api.status import Attempt, Failure
from autotrain_operator import attempts, storage, training, waiting
from autotrain_operator.attempts import Verdict
from autotrain_operator.context import Action, Amend, Context, Create, Delete
from autotrain_operator.kube import Object
from autotrain_operator.waiting import Waiting

POLL_SECONDS = 10
PENDING_POLL_SECONDS = 5

State = Literal["Done", "Suspended", "Stopping", "Waiting", "Pending", "Running"]


@dataclass(frozen=True)
class Training:
    """How the training of the current revision stands."""

    state: State
    actions: tuple[Action, ...] = ()
    waiting: Waiting | None = None
    """While Pending: what the pod waits for."""
    until: datetime | None = None
    """While Waiting: when the next attempt begins."""
    attempt: int = 0

    def requeue(self, now: datetime) -> float | None:
        """Seconds until a look is worth it, when nothing happens before."""
        if self.state == "Waiting" and self.until is not None:
            return max((self.until - now).total_seconds(), 0.1)
        return {"Running": POLL_SECONDS, "Pending": PENDING_POLL_SECONDS, "Stopping": POLL_SECONDS}.get(self.state)


def plan_training(context: Context) -> Training:
    """Write verdicts into the ledger, and say what is next."""
    for job in sorted(context.seen.jobs, key=attempt_of):
        _record(context, job)
    _record_vanished(context)
    housekeeping = [*_expiries(context), *_stops(context)]
    state = _state(context)
    if state.state == "Pending" and state.attempt == 0:
        return _begin(context, housekeeping)
    return Training(state.state, (*housekeeping, *state.actions), state.waiting, state.until, state.attempt)


def attempt_of(job: Object) -> int:
    return int(job["metadata"]["labels"].get(names.LABEL_ATTEMPT, "0"))


def revision_of(job: Object) -> str:
    return str(job["metadata"]["labels"].get(names.LABEL_REVISION, ""))


# --- verdicts


def _record(context: Context, job: Object) -> None:
    """Note a Job that is new, and judge one that has ended or waited too long."""
    ledger, name = context.ledger, job["metadata"]["name"]
    attempt = ledger.attempt(name)
    if attempt is None and (_recorded(context, job) or not _remembered(context, revision_of(job))):
        return
    if attempt is None:
        attempt = _first_sight(context, job)
        ledger.begin(attempt)
    if attempt.result != "Running":
        return
    if attempts.finished(job) is not None:
        pod, lines = context.seen.pods.get(name), context.seen.logs.get(name, ())
        _conclude(context, attempt, attempts.judge(job, pod, lines, attempt, context.spec))
    elif late := _deadline(context, job):
        _conclude(context, attempt, late)


def _recorded(context: Context, job: Object) -> bool:
    """Whether an ended Job's verdict is in the record already, though its attempt is no longer listed."""
    ended = attempts.finished(job) is not None
    return ended and attempt_of(job) <= context.ledger.record(revision_of(job)).attempts


def _remembered(context: Context, revision: str) -> bool:
    """Old revisions drop out of the record; their Jobs must not bring them back."""
    return revision == context.revision or revision in context.ledger.records


def _first_sight(context: Context, job: Object) -> Attempt:
    image = job["spec"]["template"]["spec"]["containers"][0].get("image", "")
    revision = revision_of(job)
    return Attempt(
        number=attempt_of(job),
        revision=revision,
        job=job["metadata"]["name"],
        result="Running",
        started_at=job["metadata"]["creationTimestamp"],
        image=image,
        micro_batch_size=attempts.micro_batch_size(context.ledger.record(revision), context.ledger.attempts),
    )


def _conclude(context: Context, attempt: Attempt, verdict: Verdict) -> None:
    """Write an attempt's verdict, and the revision's where it is final."""
    ledger, revision = context.ledger, attempt.revision
    record = ledger.record(revision)
    smaller = verdict.micro_batch_size or attempt.micro_batch_size
    ledger.end(
        attempt.job, verdict.result, reason=verdict.reason, exit_code=verdict.exit_code, micro_batch_size=smaller
    )
    if record.trained is not None:
        return
    if verdict.outcome is not None:
        done = verdict.outcome
        ledger.decide(
            revision,
            trained="Succeeded",
            reason=Reason.TRAINED,
            failure=None,
            bundle_sha256=done.bundle_sha256,
            metrics=done.metrics,
            worst_classes=done.worst_classes,
        )
    elif verdict.result == "Failed":
        exhausted = attempts.exhausted(record, verdict, context.spec)
        failure = attempts.failure_of(verdict)
        if exhausted:
            failure = attempts.last_of_all(failure, context.spec.policy.retries)
        ledger.decide(
            revision,
            trained="Failed" if exhausted or not verdict.retry else None,
            reason=failure.reason,
            crashes=record.crashes + verdict.counts,
            failure=failure,
        )


def _deadline(context: Context, job: Object) -> Verdict | None:
    """The verdict on an unfinished Job that has taken too long."""
    deadlines = context.spec.policy.deadlines
    pod = context.seen.pods.get(job["metadata"]["name"])
    begun = attempts.started(pod)
    if begun is not None:
        if context.now <= begun + timedelta(seconds=deadlines.train_seconds):
            return None
        message = f"training took longer than spec.policy.deadlines.trainSeconds ({deadlines.train_seconds} s)"
        hint = "Raise it, or lower spec.training.epochs."
        return Verdict("Failed", Reason.TRAIN_DEADLINE, message, hint, Stage.TRAINING)
    since = max(datetime.fromisoformat(item["metadata"]["creationTimestamp"]) for item in (job, pod) if item)
    if context.now <= since + timedelta(seconds=deadlines.pending_seconds):
        return None
    what = _pending(context, job)
    message = f"no pod ran within spec.policy.deadlines.pendingSeconds ({deadlines.pending_seconds} s): {what.message}"
    return Verdict("Failed", Reason.PENDING_DEADLINE, message, what.hint, Stage.PENDING)


def _record_vanished(context: Context) -> None:
    """A running attempt whose Job is gone was stopped, by us or by somebody's kubectl."""
    there = {job["metadata"]["name"] for job in context.seen.jobs}
    for attempt in list(context.ledger.running()):
        if attempt.job not in there:
            context.ledger.end(attempt.job, "Stopped", reason=Reason.TERMINATED)


# --- Jobs that are not wanted any more


def _expiries(context: Context) -> list[Action]:
    """Finished Jobs whose result is recorded may go."""
    seconds = context.spec.policy.ttl_seconds_after_finished
    return [
        Amend(job, {"ttlSecondsAfterFinished": seconds})
        for job in context.seen.jobs
        if attempts.finished(job) is not None
        and "ttlSecondsAfterFinished" not in job["spec"]
        and "deletionTimestamp" not in job["metadata"]
    ]


def _stops(context: Context) -> list[Action]:
    return [
        Delete(job, "Foreground")
        for job in _open(context)
        if "deletionTimestamp" not in job["metadata"] and not _wanted(context, job)
    ]


def _open(context: Context) -> list[Object]:
    return [job for job in context.seen.jobs if attempts.finished(job) is None]


def _wanted(context: Context, job: Object) -> bool:
    """Whether an unfinished Job is still the right one."""
    if revision_of(job) != context.revision or context.spec.suspend:
        return False
    if context.ledger.current.trained is not None:
        return False
    started = attempts.started(context.seen.pods.get(job["metadata"]["name"])) is not None
    return started or training.fingerprint(job) == training.fingerprint(_job(context, attempt_of(job)))


def _job(context: Context, number: int) -> Object:
    together = storage.on_one_node(context.seen.claim, context.spec)
    return training.job(context.owner, context.spec, context.revision, number, context.settings, together)


# --- what is next


def _state(context: Context) -> Training:
    """How training stands, and what the Job that runs still lacks."""
    wanted = [job for job in _open(context) if _wanted(context, job) and "deletionTimestamp" not in job["metadata"]]
    if context.ledger.current.trained is not None:
        return Training("Done")
    if context.spec.suspend:
        return Training("Suspended")
    if len(_open(context)) > len(wanted):
        return Training("Stopping")
    if wanted:
        return _under_way(context, wanted[-1])
    start = attempts.next_start(context.ledger.current, context.ledger.attempts)
    if start is not None and start > context.now:
        return Training("Waiting", until=start, attempt=context.ledger.current.attempts)
    return Training("Pending")


def _under_way(context: Context, job: Object) -> Training:
    name, number = job["metadata"]["name"], attempt_of(job)
    actions: list[Action] = []
    if name not in context.seen.config_maps:
        size = attempts.micro_batch_size(context.ledger.current, context.ledger.attempts)
        actions.append(Create(training.config_map(context.owner, context.spec, job, size, context.own)))
    if job["spec"].get("suspend"):
        actions.append(Amend(job, {"suspend": False}))
    if attempts.started(context.seen.pods.get(name)) is not None:
        return Training("Running", tuple(actions), attempt=number)
    return Training("Pending", tuple(actions), _pending(context, job), attempt=number)


def _pending(context: Context, job: Object) -> Waiting:
    """Why nothing runs yet."""
    name = job["metadata"]["name"]
    pod = context.seen.pods.get(name)
    if pod is not None:
        return waiting.waiting_of(pod) or Waiting(Reason.PENDING, f"pod {pod['metadata']['name']} is starting", "")
    if why := context.seen.job_events.get(name):
        return waiting.refused(why)
    return Waiting(Reason.PENDING, f"Job {name} has no pod yet", "")


def _begin(context: Context, housekeeping: list[Action]) -> Training:
    """The claim, where it is ours and missing, and the next attempt's Job."""
    number = context.ledger.current.attempts + 1
    actions = list(housekeeping)
    if context.seen.claim is None and storage.models_of(context.owner, context.spec).own:
        actions.append(Create(storage.claim(context.owner, context.spec, context.settings)))
    actions.append(Create(_job(context, number)))
    return Training("Pending", tuple(actions), Waiting(Reason.PENDING, f"attempt {number} begins", ""), None, number)


def gate_failure(metric: str, value: float | None, least: float) -> Failure:
    """Why a trained model gets no traffic."""
    found = "was not measured" if value is None else f"is {value:.4f}"
    return Failure(
        stage=Stage.GATE,
        reason=Reason.GATE_REFUSED,
        message=f"{metric} {found}, spec.gate.min asks for {least:g}",
        hint="Train longer or on better data, or lower spec.gate.min.",
    )


def judge_gate(context: Context) -> None:
    """A model that passed once is never judged again; one that was refused, against the gate as it stands."""
    record, gate, wanted = context.ledger.current, context.spec.gate, context.spec.metric
    if record.trained != "Succeeded" or record.gate == "Passed":
        return
    value = next((metric.value for metric in record.metrics if metric.name == wanted), None)
    if gate.min is None or (value is not None and value >= gate.min):
        context.ledger.decide(record.revision, gate="Passed", reason=Reason.GATE_PASSED, failure=None)
    elif (refusal := gate_failure(wanted, value, gate.min)) != record.failure:
        context.ledger.decide(record.revision, gate="Refused", reason=Reason.GATE_REFUSED, failure=refusal)
