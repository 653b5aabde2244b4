"""What a minicluster waits for and how big its node is. Defaults are quick: Kubernetes' own waits divided by twenty."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    job_backoff_seconds: float = 0.5
    """Before a Job replaces a failed pod; doubles with each failure (Kubernetes: 10)."""
    crash_backoff_seconds: float = 0.5
    """Before a container is started again; doubles with each crash (Kubernetes: 10)."""
    most_backoff_seconds: float = 15.0
    """Where both end (Kubernetes: 600 and 300)."""
    pull_backoff_seconds: float = 0.5
    """From ErrImagePull to ImagePullBackOff and back (Kubernetes: 10 and more)."""
    seconds_factor: float = 1.0
    """What a second of a probe's period, its initial delay or a preStop sleep lasts; grace periods are never cut."""
    node_capacity: dict[str, str] = field(
        default_factory=lambda: {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi", "pods": "110"}
    )
    """Add "nvidia.com/gpu" to give the node GPUs."""
    node_labels: dict[str, str] = field(default_factory=dict)
    isolate: bool | None = None
    """Private mount namespaces for pods; None: where the machine allows them."""
