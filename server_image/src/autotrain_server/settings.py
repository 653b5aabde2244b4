"""Settings of the server: environment variables AUTOTRAIN_..., set by the operator, and flags of the command line."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from autotrain_api import names
from autotrain_api.trainingjob import Batching, Limits, Postprocessing

UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
UNITS |= {f"{prefix}i": 2.0**power for prefix, power in (("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50))}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AUTOTRAIN_", cli_kebab_case=True, cli_prog_name="autotrain-server")

    bundle: str = Field(description="Folder of the bundle, or its URI: s3://, gs://, az://, https://")
    cache: Path = Field(Path("/tmp/autotrain-bundles"), description="Where bundles of other places are kept")  # noqa: S108
    bundle_sha256: str = Field("", description="Expected sha256 of its manifest.json; empty: not checked")
    postprocessing: Postprocessing = Field(Postprocessing(), description="spec.serving.postprocessing as JSON")
    functions: Path | None = Field(
        None, description="File of the function that postprocessing names; else the bundle's"
    )
    limits: Limits = Field(Limits(), description="spec.serving.limits as JSON")
    host: str = Field("0.0.0.0", description="Address to listen on")  # noqa: S104 - a pod listens on its own address
    port: int = Field(names.PORT, description="Port to listen on; 0 takes a free one")
    precision: Literal["Auto", "Float32", "BFloat16", "Int8"] = Field("Auto", description="spec.serving.precision")
    gpus: int = Field(0, ge=0, description="spec.serving.gpus; 0 computes on the CPU")
    batching: Batching = Field(Batching(), description="spec.serving.batching as JSON")
    queue_size: int = Field(128, ge=1, description="Requests, and pictures, that may wait; more get 503 at once")
    max_bytes_waiting: int = Field(128 * 2**20, ge=1, description="Bytes of all bodies that are held at the same time")
    header_seconds: float = Field(10, gt=0, description="Time for a request's headers; then the connection is closed")
    max_connections: int = Field(1_024, ge=1, description="Open connections; on more, pictures get 503 at once")
    farewell_seconds: float = Field(2, ge=0, description="Time after SIGTERM in which answers send clients elsewhere")
    drain_seconds: int = Field(30, ge=0, description="Time for running requests after SIGTERM")
    termination_log: Path = Field(Path(names.TERMINATION_LOG), description="Where a failed start is reported")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: str = Field("json", pattern="^(json|text)$", description="json or text")

    @property
    def max_body_bytes(self) -> int:
        return bytes_of(self.limits.max_body_bytes)


def bytes_of(quantity: str | int) -> int:
    """A Kubernetes quantity of bytes as a number, "10Mi" -> 10485760. Raises ValueError."""
    if isinstance(quantity, int):
        return quantity
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", quantity)
    if found is None or found[2] not in UNITS:
        raise ValueError(f"{quantity!r} is not a quantity of bytes; use one of {', '.join(filter(None, UNITS))}")
    return int(float(found[1]) * UNITS[found[2]])
