"""Settings of the operator, from environment variables AUTOTRAIN_...; the chart's values map to them one to one."""

from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from autotrain_api import names


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AUTOTRAIN_", env_ignore_empty=True)

    trainer_image: str = Field(description="Recipe image of jobs that name none")
    server_image: str = Field(description="Server image of jobs that name none")
    namespaces: str = Field("", description="Namespaces to watch, separated by commas; empty: all")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="Of both images")
    image_pull_secrets: list[str] = Field([], description="Names of Secrets, as a JSON list")
    gpus_per_node: int = Field(1, ge=0, description="GPUs of a training pod whose job does not say")
    gpu_resource: str = Field("nvidia.com/gpu", description="Extended resource that is a GPU")
    storage_class_name: str = Field("", description="Storage class of the models' PVC; empty: the cluster's default")
    fs_group: int | None = Field(None, description="fsGroup of the pods; absent: not set")
    training_resources: dict[str, Any] = Field({}, description="Resources of a trainer whose job does not say, as JSON")
    serving_resources: dict[str, Any] = Field({}, description="Resources of a server whose job does not say, as JSON")
    node_selector: dict[str, str] = Field({}, description="Of pods whose job has none, as JSON")
    tolerations: list[dict[str, Any]] = Field([], description="Of pods whose job has none, as JSON")
    resync_seconds: int = Field(60, ge=5, description="Time between two looks at everything")
    workers: int = Field(8, ge=1, description="Objects that are worked on at the same time")
    host: str = Field("0.0.0.0", description="Address of GET /healthz")  # noqa: S104 - a pod listens on its own address
    port: int = Field(names.PORT, description="Port of GET /healthz")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["json", "text"] = Field("json", description="json or text")

    @property
    def watched(self) -> list[str]:
        """The namespaces to watch; empty: all."""
        return [name.strip() for name in self.namespaces.split(",") if name.strip()]
