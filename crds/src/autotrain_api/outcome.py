"""Trainer and server -> operator: how a run stands (GET /progress) and how it ended (termination message)."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from autotrain_api.base import Api
from autotrain_api.names import TERMINATION_BYTES, Reason, Stage


class Progress(Api):
    """What `GET /progress` of a training pod answers; also `status.progress`."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    samples_per_second: float | None = None
    remaining_seconds: int | None = None
    message: Annotated[str, Field(max_length=256)] = ""
    """What is being done, in words: "downloading data: 45 %", "epoch 3 of 8"."""


class MetricValue(Api):
    """A metric of the finished bundle, measured through the server's predictor."""

    name: str
    value: float
    samples: int
    low: float
    high: float
    """`low` and `high`: 95 % interval."""


class ClassMetric(Api):
    name: str
    value: float


class Succeeded(Api):
    result: Literal["Succeeded"] = "Succeeded"
    bundle_sha256: str
    """sha256 of the bundle's manifest.json, which holds the digests of every other file."""
    metrics: list[MetricValue]
    """The gate's metric first."""
    worst_classes: Annotated[list[ClassMetric], Field(max_length=5)] = []
    found: bool = False
    """The bundle was there already and nothing was trained."""


class Failed(Api):
    result: Literal["Failed"] = "Failed"
    stage: Stage
    reason: Reason
    message: str
    hint: str = ""
    micro_batch_size: int | None = None
    """With OutOfMemory: the samples per forward pass that did not fit."""


Outcome = Annotated[Succeeded | Failed, Field(discriminator="result")]


class _Message(Api):
    outcome: Outcome


def dump_outcome(outcome: Succeeded | Failed) -> str:
    """One line of JSON under TERMINATION_BYTES; a failure's text is cut where needed, never the structure."""
    text = outcome.model_dump_json(by_alias=True, exclude_none=True)
    if isinstance(outcome, Failed) and len(text.encode()) > TERMINATION_BYTES:
        over = len(text.encode()) - TERMINATION_BYTES
        size = max(0, len(outcome.message.encode()) - over - 16)
        cut = outcome.message.encode()[:size].decode(errors="ignore") + " ..."
        text = outcome.model_copy(update={"message": cut, "hint": outcome.hint[:300]}).model_dump_json(
            by_alias=True, exclude_none=True
        )
    return text


def parse_outcome(text: str) -> Succeeded | Failed | None:
    """The outcome in a termination message, or None when it holds something else (a log's tail, nothing)."""
    lines = text.strip().splitlines()
    if not lines:
        return None
    try:
        return _Message.model_validate_json(f'{{"outcome": {lines[-1]}}}', strict=False).outcome
    except ValidationError:
        return None
