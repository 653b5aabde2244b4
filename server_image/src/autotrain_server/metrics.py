"""What Prometheus is told: how many, how long, how full, and what was predicted, so that drift can be seen."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One server's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "autotrain_requests", "Requests by route and status code", ["route", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "autotrain_request_seconds",
            "From a request's arrival to its answer",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.decode_seconds = self._histogram("decode_seconds", "Picture to pixels", SECONDS)
        self.queue_seconds = self._histogram("queue_seconds", "Wait of a picture for its pass", SECONDS)
        self.inference_seconds = self._histogram("inference_seconds", "One pass through the engine", SECONDS)
        self.batch_size = self._histogram("batch_size", "Pictures in one pass", SIZES)
        self.predictions = Counter(
            "autotrain_predictions", "Answers by predicted class", ["label"], registry=self.registry
        )
        self.refused = Counter(
            "autotrain_refused",
            "Requests that got an error of the server's own, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.queue_depth = Gauge("autotrain_queue_depth", "Pictures that wait for a pass", registry=self.registry)
        self.in_flight = Gauge("autotrain_requests_in_flight", "Requests inside of the server", registry=self.registry)
        self.ready = Gauge("autotrain_model_ready", "1 when the model is verified and answers", registry=self.registry)
        self.model = Gauge(
            "autotrain_model_info",
            "The model that answers; `note` says why the precision is not the one asked for",
            ["name", "revision", "digest", "engine", "precision", "note"],
            registry=self.registry,
        )

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"autotrain_{name}", text, buckets=buckets, registry=self.registry)

    def passed(self, waits: Sequence[float], seconds: float) -> None:
        """One pass is over: how long each picture had waited, and how long it took."""
        self.batch_size.observe(len(waits))
        self.inference_seconds.observe(seconds)
        for wait in waits:
            self.queue_seconds.observe(wait)

    def answered(self, route: str, code: int, seconds: float) -> None:
        self.requests.labels(route, str(code)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition, in the OpenMetrics text format."""
        content: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return content
