"""Trainer -> server: the bundle, a folder that holds one verified model. This is the only definition of its layout.

    manifest.json        written last; makes the folder a bundle
    model.onnx           uint8 NHWC in, free batch dimension, normalisation inside; logits out; its metadata has the classes
    model_int8.onnx      the same graph in eight bits (QDQ), when its record in `precisions` passed
    weights.safetensors  the trained weights, for resuming and fine-tuning
    golden/inputs.npy    uint8 [n, height, width, 3], as the engine gets them
    golden/scores.npy    float32 [n, classes], logits of the Float32 engine
    functions.py         the job's own functions that serve, when the recipe names any
    report/              plots, predictions, model card

Paths are relative to the folder. What the manifest does not list is not part of the bundle: nothing reads or serves it.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from autotrain_api.base import Api, Fraction
from autotrain_api.outcome import MetricValue
from autotrain_api.trainingjob import REVISION_PATTERN, Task

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
MODEL_INT8 = "model_int8.onnx"
WEIGHTS = "weights.safetensors"
GOLDEN_INPUTS = "golden/inputs.npy"
GOLDEN_SCORES = "golden/scores.npy"
REPORT = "report"
FUNCTIONS = "functions.py"
GRAPH_CLASSES = "classes"
"""Key in the graph's metadata: the classes in the order of its scores, a JSON list."""
GOLDEN_TOLERANCE = 1e-3
"""Largest |difference| of a served golden score, in units of the largest |golden score|."""


class ResolvedPreprocessing(Api):
    """How bytes become the engine's input; the same code applies it in the trainer's evaluation and in the server."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    resize: Literal["CropToFill", "Squish", "Letterbox"]
    interpolation: Literal["Nearest", "Bilinear", "Bicubic", "Lanczos"]
    crop_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    mean: list[float]
    std: list[float]
    """`mean` and `std` for pixels in 0..1; they are inside the graph and stand here to be read."""
    function: str = ""
    """One of the job's own (functions.py) that changes the decoded picture last, uint8 [height, width, 3] both ways."""
    decode_scale: Annotated[float, Field(ge=1)] = 2.0
    """A large JPEG is decoded at the smallest scale whose short side is at least this many times the target's."""


class GoldenSample(Api):
    """One golden input, by position in golden/*.npy."""

    prediction: str
    """Name of the top class, so that a change of the class order cannot pass."""
    label: str


class PairedDifference(Api):
    """A metric in a lower precision minus the same metric in Float32, over the same pictures."""

    name: str
    value: float
    low: float
    high: float
    """`low` and `high`: 95 % interval."""


class PrecisionRecord(Api):
    """What the trainer measured of one precision below Float32, through the predictor."""

    precision: Literal["BFloat16", "Int8"]
    engine: str
    samples: Annotated[int, Field(ge=0)]
    """Pictures that both precisions answered; 0 when nothing could be measured."""
    agreement: Fraction = 0.0
    """Share of them with the same top class."""
    nll_difference: float = 0.0
    """Mean negative log-likelihood of the labels minus that of Float32."""
    metric: PairedDifference | None = None
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Largest |difference| of a served golden score, in units of the largest |golden score|."""
    passed: bool
    reason: str
    """In words, with the figures: why it passed or not."""


class Manifest(Api):
    """manifest.json"""

    schema_version: Literal[1] = 1
    task: Task
    name: str
    namespace: str
    revision: Annotated[str, StringConstraints(pattern=REVISION_PATTERN, min_length=1)]
    classes: Annotated[list[str], Field(min_length=1)]
    preprocessing: ResolvedPreprocessing
    metrics: list[MetricValue]
    precisions: Annotated[list[PrecisionRecord], Field(max_length=8)] = []
    """Precisions that may be served besides Float32; a bundle without a passed record serves Float32 only."""
    golden: Annotated[list[GoldenSample], Field(min_length=1, max_length=64)]
    resolved: dict[str, Any]
    """Whatever was decided at run time: precision, batch, learning rate, split, threads, best epoch; `temperature`, by
    which servers divide logits before they are confidences."""
    recipe: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, str]
    """Path inside the bundle -> sha256, of every file but the manifest."""
    created: str

    @field_validator("resolved", "recipe")
    @classmethod
    def _numbers(cls, value: dict[str, Any]) -> dict[str, Any]:
        """JSON has no NaN and no Infinity, though Python reads them."""
        json.dumps(value, allow_nan=False)
        return value

    @field_validator("resolved")
    @classmethod
    def _temperature(cls, value: dict[str, Any]) -> dict[str, Any]:
        found = value.get("temperature", 1.0)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 1e-3 <= found <= 1e3:
            raise ValueError(f"temperature is {found!r}; it is a number from 0.001 to 1000")
        return value


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle folder. Raises OSError or pydantic.ValidationError."""
    return Manifest.model_validate_json((bundle / MANIFEST).read_bytes())


def dump_manifest(manifest: Manifest) -> bytes:
    """manifest.json as bytes; its digest is the bundle's digest."""
    return (manifest.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n").encode()
