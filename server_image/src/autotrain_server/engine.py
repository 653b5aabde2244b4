"""Runs the graph of a bundle: uint8 pictures in, float32 scores out. One engine, one processor, one precision."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import openvino
from numpy.typing import NDArray

Scores = NDArray[np.float32]


class Engine(Protocol):
    """What a predictor needs of a runtime. Safe to call from several threads."""

    name: str
    precision: str

    def scores(self, images: NDArray[np.uint8]) -> Scores:
        """uint8 [n, height, width, 3] -> float32 [n, classes]; n is free."""
        ...


class EngineError(RuntimeError):
    """The runtime cannot read or run a graph."""


class OpenVinoEngine:
    """OpenVINO on the CPU, with as many threads as the container may use."""

    name = "openvino"

    def __init__(self, model: Path | bytes, precision: str = "Float32", threads: int | None = None) -> None:
        """Compile `model`, an ONNX file or its bytes. Raises EngineError."""
        self.precision = precision
        hint = {"Float32": "f32", "BFloat16": "bf16"}[precision]
        count = threads or cpu_limit()
        try:
            core = openvino.Core()
            graph = core.read_model(model) if isinstance(model, bytes) else core.read_model(str(model))
            settings = {
                "INFERENCE_PRECISION_HINT": hint,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": str(count),
                "NUM_STREAMS": "1",
            }
            self._compiled = core.compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot read the graph: {first_line(error)}") from error

    def scores(self, images: NDArray[np.uint8]) -> Scores:
        """See Engine. Each call has a request of its own, so that threads do not share buffers."""
        result = self._compiled.create_infer_request().infer({0: images})
        return np.asarray(next(iter(result.values())), dtype=np.float32)


def first_line(error: Exception) -> str:
    """The part of a runtime's error that a person reads."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def cpu_limit() -> int:
    """Processors this container may use: its cgroup's limit (v2, then v1) or the affinity mask, at least 1."""
    available = len(os.sched_getaffinity(0))
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            words = Path(quota_file).read_text(encoding="ascii").split()
            period = words[1] if period_file is None else Path(period_file).read_text(encoding="ascii")
            if words[0] not in ("max", "-1"):
                return max(1, min(available, round(int(words[0]) / int(period))))
        except (OSError, ValueError, IndexError):
            continue
    return available
