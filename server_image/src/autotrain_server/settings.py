"""Settings of the server: environment variables AUTOTRAIN_..., set by the operator, and flags of the command line."""

import re
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from autotrain_api import names
from autotrain_api.trainingjob import Limits, Postprocessing

UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
UNITS |= {f"{prefix}i": 2.0**power for prefix, power in (("K", 10), ("M", 20), ("G", 30), ("T", 40), ("P", 50))}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AUTOTRAIN_", cli_kebab_case=True, cli_prog_name="autotrain-server")

    bundle: Path = Field(description="Folder of the bundle")
    bundle_sha256: str = Field("", description="Expected sha256 of its manifest.json; empty: not checked")
    postprocessing: Postprocessing = Field(Postprocessing(), description="spec.serving.postprocessing as JSON")
    limits: Limits = Field(Limits(), description="spec.serving.limits as JSON")
    host: str = Field("0.0.0.0", description="Address to listen on")  # noqa: S104 - a pod listens on its own address
    port: int = Field(names.PORT, description="Port to listen on; 0 takes a free one")
    queue_size: int = Field(128, ge=1, description="Pictures that may wait for the engine; more get 503")
    max_batch: int = Field(16, ge=1, description="Pictures that the engine gets at once, at most")
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
