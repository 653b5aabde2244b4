"""`status` of a TrainingJob as types: what the operator writes and, in `revisions`, remembers. At most 16 KiB."""

from typing import Annotated, Literal

from pydantic import Field

from autotrain_api.base import Api
from autotrain_api.outcome import ClassMetric, MetricValue, Progress


class ConditionStatus(Api):
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str
    observed_generation: int


class Metrics(Api):
    """The measured quality of the current revision's bundle."""

    name: str
    best: float
    samples: int
    low: float
    high: float
    worst_classes: Annotated[list[ClassMetric], Field(max_length=5)] = []


class Attempt(Api):
    """One training Job."""

    number: int
    revision: str
    job: str
    result: Literal["Running", "Succeeded", "Failed", "Disrupted", "Stopped"]
    reason: str = ""
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    micro_batch_size: int | None = None
    image: str = ""


class Failure(Api):
    """Why the current revision is not served."""

    stage: str
    reason: str
    message: str
    exit_code: int | None = None
    hint: str = ""
    last_log_lines: Annotated[list[str], Field(max_length=20)] = []


class RevisionRecord(Api):
    """What is decided about a revision. A verdict is never recomputed because a child is gone."""

    revision: str
    trained: Literal["Succeeded", "Failed"] | None = None
    reason: str = ""
    attempts: int = 0
    crashes: int = 0
    """Attempts that count against policy.retries."""
    failure: Failure | None = None
    gate: Literal["Passed", "Refused"] | None = None
    rollout: Literal["Succeeded", "Failed"] | None = None
    rollout_template: str = ""
    """Digest of the pod template that `rollout` judged."""
    bundle_sha256: str = ""
    metrics: Annotated[list[MetricValue], Field(max_length=4)] = []
    worst_classes: Annotated[list[ClassMetric], Field(max_length=5)] = []
    retry: str = ""
    """The value of the retry annotation that this record has answered."""
    time: str = ""


class ServingStatus(Api):
    url: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    selector: str = ""
    revision: str = ""
    """The revision that answers requests now."""
    loaded_sha256: str = ""


class Status(Api):
    phase: str = ""
    observed_generation: int = 0
    revision: str = ""
    conditions: Annotated[list[ConditionStatus], Field(max_length=16)] = []
    progress: Progress | None = None
    metrics: Metrics | None = None
    attempts: Annotated[list[Attempt], Field(max_length=10)] = []
    failure: Failure | None = None
    revisions: Annotated[list[RevisionRecord], Field(max_length=12)] = []
    serving: ServingStatus = ServingStatus()
