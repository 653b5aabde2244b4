"""ONNX Runtime behind the Engine interface: on a GPU, and on the CPU as the oracle of the tests.

Import this module only where it is asked for: the package is optional, and its import takes memory.
"""

from pathlib import Path
from typing import Any

import numpy as np

from autotrain_server.engine import (
    EngineError,
    EngineMissingError,
    Pictures,
    PrecisionError,
    Scores,
    cpu_limit,
    first_line,
)

try:
    import onnxruntime
except ImportError as error:
    raise EngineMissingError(
        "onnxruntime is not installed; install autotrain-server[gpu], or serve on the CPU with OpenVINO"
    ) from error

CUDA = "CUDAExecutionProvider"
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
"""Float32 means float32, and a batch of a new size must not start a search of seconds."""


class OnnxRuntimeEngine:
    """ONNX Runtime in the precision of the graph itself: any number of pictures is one pass."""

    name = "onnxruntime"
    batch_sizes: tuple[int, ...] = ()
    streams = 2
    """While one batch computes, the next is copied."""

    def __init__(
        self, model: Path | bytes, precision: str = "Float32", threads: int | None = None, gpu: bool = False
    ) -> None:
        """Load `model`, an ONNX file or its bytes. Raises EngineError and its kinds."""
        if precision != "Float32":
            raise PrecisionError(f"ONNX Runtime computes in the graph's own Float32 here, not in {precision}")
        self.precision = precision
        providers: list[Any] = [(CUDA, CUDA_OPTIONS)] if gpu else ["CPUExecutionProvider"]
        if gpu and CUDA not in onnxruntime.get_available_providers():
            raise EngineMissingError(
                f"this onnxruntime has no {CUDA}, so no GPU; install onnxruntime-gpu with CUDA and cuDNN"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or cpu_limit()
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=providers
            )
        except Exception as error:  # its exceptions share no base class
            raise EngineError(f"ONNX Runtime cannot load the graph: {first_line(error)}") from error
        if gpu and CUDA not in self._session.get_providers():
            raise EngineMissingError("ONNX Runtime fell back to the CPU: it finds no GPU that it can use")
        self._input = self._session.get_inputs()[0].name

    def metadata(self, key: str) -> str:
        """What the ONNX file says about itself under `key`; "" when it says nothing."""
        return str(self._session.get_modelmeta().custom_metadata_map.get(key, ""))

    def scores(self, images: Pictures) -> Scores:
        """See Engine."""
        try:
            [scores] = self._session.run(None, {self._input: images})
        except Exception as error:
            raise EngineError(f"ONNX Runtime cannot run the graph: {first_line(error)}") from error
        return np.asarray(scores)
