"""Operator -> trainer: the run of one attempt, `run.yaml` in the attempt's ConfigMap; on a laptop, by hand."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, StringConstraints

from autotrain_api.base import Api, Name
from autotrain_api.revision import Recipe
from autotrain_api.trainingjob import METRICS, REVISION_PATTERN, FunctionCall, Metric

Uri = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class RunConfig(Api):
    """Everything one attempt of one revision needs to know."""

    schema_version: Literal[1] = 1
    name: Name
    namespace: Name = "default"
    revision: Annotated[str, StringConstraints(pattern=REVISION_PATTERN, min_length=1)]
    attempt: Annotated[int, Field(ge=1)] = 1
    recipe: Recipe
    metric: Metric | None = None
    """The gate's metric: it picks the best epoch and is published. Absent: the task's first."""
    data_uri: Uri
    """Where this process finds `recipe.data.uri`: a claim is mounted, so pvc://claim/path arrives as file:///mnt/data/path."""
    initial_weights_uri: Uri | None = None
    """Likewise of `recipe.model.initial_weights.uri`. Absent: as it stands there."""
    data_cache_uri: Uri | None = None
    """A folder, file://..., that keeps what is fetched for other runs. Absent: each run fetches for itself."""
    functions_file: Uri | None = None
    """The job's own functions, when the recipe or `serving_function` names one."""
    serving_functions_file: Uri | None = None
    """Those that serve, when they are others: preprocess_function and postprocess_function are taken from here."""
    serving_function: FunctionCall | None = None
    """spec.serving.postprocessing's, to be tried before the training; it is no part of the recipe."""
    output_uri: Uri
    """The revision's bundle folder, file://, s3:// or gs://; it becomes a bundle when its manifest is written."""
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    """Samples per forward pass after an out-of-memory; absent: the whole batch. The rest is accumulation."""

    @property
    def gate_metric(self) -> Metric:
        return self.metric or METRICS[self.recipe.task][0]


def load_run(path: Path) -> RunConfig:
    """Read run.yaml. Raises OSError, yaml.YAMLError or pydantic.ValidationError."""
    return RunConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def dump_run(run: RunConfig) -> str:
    """run.yaml as text."""
    return yaml.safe_dump(run.to_dict(), sort_keys=False, allow_unicode=True)
