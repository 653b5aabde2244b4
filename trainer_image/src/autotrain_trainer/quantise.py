"""A graph in eight bits: static quantisation with ONNX Runtime, calibrated on pictures of the training part.

Weights take seven of the eight bits. Processors without VNNI add pairs of products of unsigned and signed bytes in sixteen bits,
which overflow with the eighth, so the same graph would give other scores there than where it was measured.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from autotrain_server.engine import Pictures

CALIBRATION_PICTURES = 128
OPERATORS = ["Conv", "Gemm", "MatMul", "Add", "MaxPool", "GlobalAveragePool", "ReduceMean"]
"""What is computed in eight bits; normalisation, softmax and the like stay float32."""


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: Pictures) -> None:
        self._left: Iterator[Pictures] = (np.ascontiguousarray(pictures[i : i + 1]) for i in range(len(pictures)))

    def get_next(self) -> dict[str, Pictures] | None:
        picture = next(self._left, None)
        return None if picture is None else {"images": picture}


def quantise(model: Path, into: Path, pictures: Pictures) -> None:
    """Write `model` in eight bits to `into`; `pictures` uint8 [n, height, width, 3]. Raises what ONNX Runtime raises."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(into),
            _Reader(pictures[:CALIBRATION_PICTURES]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
        )
