"""Runs the graph of a bundle: uint8 pictures in, scores out. The interface, and OpenVINO on the CPU behind it."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import openvino
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Scores = NDArray[Any]
Graph: TypeAlias = openvino.Model

CGROUP = Path("/sys/fs/cgroup")
PASS_PIXELS = 2 * 224 * 224
"""Pixels in the largest pass: activations stay small, and a picture costs the same in a pass of 2 as in one of 16."""
LARGEST_PASS = 16
WIDE_THREADS = 4
"""A pass scales well over so many threads; with more of them there are more passes at the same time."""
NARROW_STREAMS = 8
"""Each stream keeps activations of its own: with more threads than this, a stream has several."""
HINTS = {"Float32": "f32", "BFloat16": "bf16", "Int8": "f32"}
"""Precision -> INFERENCE_PRECISION_HINT; a graph in eight bits says so itself, and the rest of it stays float32."""


class Engine(Protocol):
    """What a predictor needs of a runtime. Safe to call from several threads."""

    name: str
    precision: str
    streams: int
    """How many calls it wants at the same time, at least 1."""
    batch_sizes: tuple[int, ...]
    """Sizes of its passes, ascending, the first is 1; () when any size is one pass. `scores` takes any n either way."""

    def scores(self, images: Pictures) -> Scores:
        """uint8 [n, height, width, 3] -> [n, ...] as the graph gives it. Raises RuntimeError."""
        ...


class EngineError(RuntimeError):
    """The runtime cannot read or run a graph."""


class EngineMissingError(EngineError):
    """The runtime is not installed, or the device that it needs is not there."""


class PrecisionError(EngineError):
    """The runtime or this processor does not have the precision."""


class OpenVinoEngine:
    """OpenVINO on the CPU, with as many threads as the container may use, divided among streams.

    One call more than there are streams keeps the processor busy between two passes.
    """

    name = "openvino"

    def __init__(
        self,
        model: Path | bytes | Graph,
        precision: str = "Float32",
        threads: int | None = None,
        streams: int | None = None,
    ) -> None:
        """Compile `model`: an ONNX file, its bytes, or what `read_graph` gave. Raises EngineError, PrecisionError.

        Without `streams` they are wide: one picture has the shortest answer.
        """
        if precision not in openvino_precisions():
            raise PrecisionError(f"OpenVINO has no {precision} on this processor")
        count = threads or cpu_limit()
        streams = streams or wide_streams(count)
        self.precision = precision
        self.streams = streams + 1
        graph = read_graph(model) if isinstance(model, Path | bytes) else model
        self.batch_sizes = pass_sizes(graph)
        self._own = _Requests()
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": str(count),
            "NUM_STREAMS": str(streams),
            "ENABLE_CPU_PINNING": "NO",  # every pod of a node would choose the same processors
        }
        try:
            self._compiled = self._compile(graph, settings)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot compile the graph: {first_line(error)}") from error

    def _compile(self, graph: Graph, settings: dict[str, str]) -> dict[int, openvino.CompiledModel]:
        """Size of a pass -> what runs it. Eight bits need fixed shapes: with a free batch they answer wrongly."""
        core = openvino.Core()
        if self.precision != "Int8":
            compiled = core.compile_model(graph, "CPU", settings)
            return dict.fromkeys(self.batch_sizes, compiled)
        found = {}
        for size in self.batch_sizes:
            fixed = graph.clone()
            fixed.reshape([size, *list(graph.input(0).partial_shape)[1:]])
            found[size] = core.compile_model(fixed, "CPU", settings)
        return found

    def scores(self, images: Pictures) -> Scores:
        """See Engine."""
        return np.concatenate([self._run(part) for part in passes(images, self.batch_sizes)])

    def _run(self, images: Pictures) -> Scores:
        """One pass."""
        own, size = self._own.requests, len(images)
        if size not in own:
            own[size] = self._compiled[size].create_infer_request()
        result = own[size].infer({0: images})
        return np.array(next(iter(result.values())))


class ElasticEngine:
    """Two engines of one graph: `wide` has few streams of many threads, `narrow` many streams of few.

    A call that has the processor to itself is done soonest in a wide stream. Among others it is better off in a narrow
    one: no thread waits there for another that was displaced by something else. `narrow` may come later.
    """

    def __init__(self, wide: Engine, streams: int) -> None:
        """`streams`: how many calls `narrow` will want at the same time."""
        self.name = wide.name
        self.precision = wide.precision
        self.streams = streams
        self.batch_sizes = wide.batch_sizes
        self.narrow: Engine | None = None
        self._wide = wide
        self._alone = max(1, wide.streams - 1)
        self._calls = 0
        self._lock = threading.Lock()

    def scores(self, images: Pictures) -> Scores:
        """See Engine."""
        with self._lock:
            self._calls += 1
            engine = self._wide if self.narrow is None or self._calls <= self._alone else self.narrow
        try:
            return engine.scores(images)
        finally:
            with self._lock:
                self._calls -= 1


class _Requests(threading.local):
    """Size of a pass -> this thread's request for it. It is kept: making one costs more than a small pass."""

    def __init__(self) -> None:
        self.requests: dict[int, openvino.InferRequest] = {}


def read_graph(model: Path | bytes) -> Graph:
    """An ONNX file or its bytes, read once for several engines. Raises EngineError."""
    try:
        return openvino.Core().read_model(model if isinstance(model, bytes) else str(model))
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot read the graph: {first_line(error)}") from error


def metadata_of(graph: Graph, key: str) -> str:
    """What an ONNX file says about itself under `key`; "" when it says nothing."""
    place = ["framework", key]
    return str(graph.get_rt_info(place).value) if graph.has_rt_info(place) else ""


def openvino_precisions() -> frozenset[str]:
    """Precisions that OpenVINO has on this processor."""
    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names = {"FP32": "Float32", "BF16": "BFloat16", "INT8": "Int8"}
    return frozenset(names[word] for word in able if word in names)


def pass_sizes(graph: Graph) -> tuple[int, ...]:
    """Powers of two up to the largest pass that the graph's input size allows."""
    shape = graph.input(0).partial_shape
    fixed = shape.rank.is_static and len(shape) == 4 and shape[1].is_static and shape[2].is_static
    pixels = shape[1].get_length() * shape[2].get_length() if fixed else PASS_PIXELS
    most = min(LARGEST_PASS, max(1, PASS_PIXELS // max(1, pixels)))
    return tuple(1 << power for power in range(most.bit_length()))


def wide_streams(threads: int) -> int:
    """Streams in which one pass has the shortest answer."""
    return -(-threads // WIDE_THREADS)


def narrow_streams(threads: int) -> int:
    """Streams that together give the most answers."""
    return min(threads, NARROW_STREAMS)


def passes(images: Pictures, sizes: tuple[int, ...]) -> Iterator[Pictures]:
    """`images` in parts of these sizes, the largest first; whole when there are no sizes."""
    start = 0
    while start < len(images):
        left = len(images) - start
        size = max((size for size in sizes if size <= left), default=left)
        yield images[start : start + size]
        start += size


def first_line(error: Exception) -> str:
    """The part of a runtime's error that a person reads."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def cpu_limit(cgroup: Path = CGROUP) -> int:
    """Processors this container may use: its cgroup's limit (v2, then v1) or the affinity mask, at least 1."""
    available = len(os.sched_getaffinity(0))
    for quota_file, period_file in (
        (cgroup / "cpu.max", None),
        (cgroup / "cpu/cpu.cfs_quota_us", cgroup / "cpu/cpu.cfs_period_us"),
    ):
        try:
            words = quota_file.read_text(encoding="ascii").split()
            period = words[1] if period_file is None else period_file.read_text(encoding="ascii")
            if words[0] not in ("max", "-1"):
                return max(1, min(available, round(int(words[0]) / int(period))))
        except (OSError, ValueError, IndexError):
            continue
    return available
