"""What an attempt came to, and whether there is another: pure functions of what its Job and pod show."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from autotrain_api import names
from autotrain_api.names import ExitCode, Reason, Stage
from autotrain_api.outcome import Failed, Succeeded, parse_outcome
from autotrain_api.status import Attempt, Failure, RevisionRecord
from autotrain_api.trainingjob import Spec
from autotrain_operator.kube import Object

BACKOFF_SECONDS = 10
LONGEST_BACKOFF_SECONDS = 300
FOUND_BATCH = 64
"""The largest batch size that the trainer finds by itself."""
MESSAGE_LENGTH = 1_500
LINE_LENGTH = 400
LINES_LENGTH = 3_000
"""All shown log lines together; a status is at most 16 KiB."""


@dataclass(frozen=True)
class Verdict:
    """How an attempt ended. `retry` says whether the operator tries again by itself."""

    result: Literal["Succeeded", "Failed", "Disrupted"]
    reason: str
    message: str = ""
    hint: str = ""
    stage: str = Stage.TRAINING
    exit_code: int | None = None
    outcome: Succeeded | None = None
    retry: bool = False
    counts: bool = False
    """Whether it counts against policy.retries."""
    micro_batch_size: int | None = None
    log_lines: tuple[str, ...] = field(default=())


def finished(job: Object) -> Literal["Complete", "Failed"] | None:
    """How a Job ended, if it did."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed"):
            return "Complete" if condition["type"] == "Complete" else "Failed"
    return None


def judge(job: Object, pod: Object | None, log_lines: tuple[str, ...], attempt: Attempt, spec: Spec) -> Verdict:
    """The verdict on a finished Job from its last pod, which may be gone."""
    state = terminated(pod)
    outcome = parse_outcome(state.get("message", "")) if state else None
    code = state.get("exitCode") if state else None
    if finished(job) == "Complete" and isinstance(outcome, Succeeded):
        return Verdict("Succeeded", Reason.TRAINED, outcome=outcome, exit_code=code)
    if disrupted(pod):
        return Verdict("Disrupted", Reason.PREEMPTED, "the pod was disrupted", exit_code=code, retry=True)
    if state is None:
        return Verdict(
            "Failed", Reason.CRASHED, f"its pod is gone and left no result{why(job)}", retry=True, counts=True
        )
    if code == ExitCode.OUT_OF_MEMORY or state.get("reason") == "OOMKilled":
        return out_of_memory(outcome if isinstance(outcome, Failed) else None, code, attempt, spec)
    if isinstance(outcome, Failed):
        user = code == ExitCode.USER_ERROR
        return Verdict(
            "Failed",
            outcome.reason,
            outcome.message[:MESSAGE_LENGTH],
            outcome.hint,
            outcome.stage,
            code,
            retry=not user,
            counts=not user,
        )
    message = f"the trainer ended with exit code {code}" + (f" ({state['reason']})" if state.get("reason") else "")
    lines = log_lines or tuple(state.get("message", "").splitlines())
    return Verdict("Failed", Reason.CRASHED, message, exit_code=code, retry=True, counts=True, log_lines=tail(lines))


def out_of_memory(outcome: Failed | None, code: int | None, attempt: Attempt, spec: Spec) -> Verdict:
    """Half the pictures per forward pass; the batch per step stays, by accumulation."""
    size = attempt.micro_batch_size or (outcome.micro_batch_size if outcome else None)
    size = size or spec.training.batch_size or FOUND_BATCH
    smaller = size // 2
    again = spec.policy.on_out_of_memory == "ReduceBatch" and smaller >= 1
    message = outcome.message if outcome else "the container was killed for using more memory than its limit"
    return Verdict(
        "Failed",
        Reason.OUT_OF_MEMORY,
        f"{message} (with {size} pictures per forward pass)"[:MESSAGE_LENGTH],
        "Lower spec.training.batchSize or spec.model.imageSize, or raise spec.compute.resources.",
        Stage.TRAINING,
        code,
        retry=again,
        micro_batch_size=smaller if again else None,
    )


def tail(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The last 20 lines, or as many of them as have room."""
    shown: list[str] = []
    for line in reversed(lines[-20:]):
        short = line[:LINE_LENGTH]
        if sum(map(len, shown)) + len(short) > LINES_LENGTH:
            break
        shown.insert(0, short)
    return tuple(shown)


def started(pod: Object | None) -> datetime | None:
    """When a pod's container began to run, if it did."""
    for status in pod.get("status", {}).get("containerStatuses", []) if pod else []:
        for state in (status.get("state", {}), status.get("lastState", {})):
            for kind in ("running", "terminated"):
                if state.get(kind, {}).get("startedAt"):
                    return datetime.fromisoformat(state[kind]["startedAt"])
    return None


def terminated(pod: Object | None) -> Object | None:
    """The terminated state of a pod's container, if it has one."""
    if pod is None:
        return None
    for status in pod.get("status", {}).get("containerStatuses", []):
        state: Object | None = status.get("state", {}).get("terminated")
        if state is not None:
            return state
    return None


def disrupted(pod: Object | None) -> bool:
    """Evicted, preempted, drained or lost with its node."""
    conditions = pod.get("status", {}).get("conditions", []) if pod else []
    return any(condition["type"] == "DisruptionTarget" and condition["status"] == "True" for condition in conditions)


def why(job: Object) -> str:
    """What the Job's Failed condition says."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] == "Failed" and condition.get("message"):
            return f" ({condition['message']})"
    return ""


def exhausted(record: RevisionRecord, verdict: Verdict, spec: Spec) -> bool:
    """Whether a crash was one too many."""
    return verdict.counts and record.crashes + 1 > spec.policy.retries


def failure_of(verdict: Verdict) -> Failure:
    """The verdict as `status.failure`."""
    return Failure(
        stage=verdict.stage,
        reason=verdict.reason,
        message=verdict.message,
        exit_code=verdict.exit_code,
        hint=verdict.hint,
        last_log_lines=list(verdict.log_lines),
    )


def last_of_all(failure: Failure, retries: int) -> Failure:
    """The failure after which there is no other attempt, though there would be one for its kind."""
    message = f"{failure.reason}: {failure.message}; spec.policy.retries ({retries}) allows no other attempt"
    hint = failure.hint or f"Put a new text into the annotation {names.ANNOTATION_RETRY} to try again."
    return failure.model_copy(update={"reason": Reason.RETRIES_EXHAUSTED, "message": message, "hint": hint})


def next_start(record: RevisionRecord, attempts: list[Attempt]) -> datetime | None:
    """When the next attempt may begin: crashes wait, twice as long each time. None: at once."""
    last = next((attempt for attempt in reversed(attempts) if attempt.revision == record.revision), None)
    if not record.crashes or last is None or last.result != "Failed" or last.finished_at is None:
        return None
    if last.reason == Reason.OUT_OF_MEMORY:
        return None
    seconds = min(BACKOFF_SECONDS * 2 ** (record.crashes - 1), LONGEST_BACKOFF_SECONDS)
    return datetime.fromisoformat(last.finished_at) + timedelta(seconds=seconds)


def micro_batch_size(record: RevisionRecord, attempts: list[Attempt]) -> int | None:
    """Pictures per forward pass of the next attempt, after what earlier ones found out."""
    return min(
        (
            attempt.micro_batch_size
            for attempt in attempts
            if attempt.revision == record.revision and attempt.micro_batch_size
        ),
        default=None,
    )
