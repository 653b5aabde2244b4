"""The record in `status.revisions` and `status.attempts`: reading it, changing it, keeping it small. No decisions here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from autotrain_api.status import Attempt, Failure, RevisionRecord, Status

KEPT_REVISIONS = 10
"""Besides the served, the current and the pinned one."""
KEPT_ATTEMPTS = 10
OLD_MESSAGE_LENGTH = 160


def read_status(raw: dict[str, Any] | None) -> Status:
    """`status` as it is stored; a part that this version does not know is dropped, a broken one counts as lost."""
    try:
        return Status.model_validate(raw or {}, extra="ignore")
    except ValidationError:
        return Status()


def timestamp(moment: datetime) -> str:
    """As Kubernetes writes it: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Ledger:
    """What is decided so far. One pass changes it and writes it before it acts on it."""

    revision: str
    """The revision of the current spec."""
    now: datetime
    records: dict[str, RevisionRecord] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    served: str = ""
    """The revision that answers, or answered last."""
    loaded_sha256: str = ""

    @classmethod
    def of(cls, status: Status, revision: str, now: datetime) -> "Ledger":
        records = {record.revision: record for record in status.revisions}
        serving = status.serving
        return cls(revision, now, records, list(status.attempts), serving.revision, serving.loaded_sha256)

    @property
    def current(self) -> RevisionRecord:
        return self.record(self.revision)

    def record(self, revision: str) -> RevisionRecord:
        return self.records.get(revision) or RevisionRecord(revision=revision)

    def decide(self, revision: str, **changes: Any) -> None:
        """Write down a verdict about a revision."""
        record = self.record(revision).model_copy(update=changes | {"time": timestamp(self.now)})
        self.records[revision] = record

    def forget(self, revision: str, retry: str) -> None:
        """A new try: the verdicts about a revision no longer count, its attempts go on counting."""
        record = RevisionRecord(revision=revision, attempts=self.record(revision).attempts, retry=retry)
        self.records[revision] = record

    def attempt(self, job: str) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.job == job), None)

    def begin(self, attempt: Attempt) -> None:
        """A Job was seen that was not known yet."""
        self.attempts.append(attempt)
        number = max(self.record(attempt.revision).attempts, attempt.number)
        self.decide(attempt.revision, attempts=number)

    def end(self, job: str, result: Literal["Succeeded", "Failed", "Disrupted", "Stopped"], **changes: Any) -> None:
        """A running attempt is over."""
        update = changes | {"result": result, "finished_at": timestamp(self.now)}
        self.attempts = [
            attempt.model_copy(update=update) if attempt.job == job else attempt for attempt in self.attempts
        ]

    def running(self) -> Iterator[Attempt]:
        return (attempt for attempt in self.attempts if attempt.result == "Running")

    def kept_records(self, pinned: str) -> list[RevisionRecord]:
        """The served, the current, the pinned and the newest ten, oldest first; texts only where they are shown."""
        needed = {self.served, self.revision, pinned}
        by_time = sorted(self.records.values(), key=lambda record: record.time)
        others = [record for record in by_time if record.revision not in needed]
        kept = needed | {record.revision for record in others[-KEPT_REVISIONS + 1 :]}
        return [self._shortened(record) for record in by_time if record.revision in kept]

    def _shortened(self, record: RevisionRecord) -> RevisionRecord:
        if record.revision == self.revision:
            return record
        failure = record.failure
        if failure is not None:
            message = failure.message[:OLD_MESSAGE_LENGTH]
            failure = Failure(stage=failure.stage, reason=failure.reason, message=message, exit_code=failure.exit_code)
        return record.model_copy(update={"failure": failure, "metrics": record.metrics[:1], "worst_classes": []})

    def kept_attempts(self) -> list[Attempt]:
        return self.attempts[-KEPT_ATTEMPTS:]
