"""Bundles in milliseconds, as the trainer leaves them: mean colours in a linear graph, and small convolutions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from autotrain_api import bundle
from autotrain_api.bundle import GoldenSample, Manifest, PrecisionRecord, ResolvedPreprocessing
from autotrain_api.outcome import MetricValue
from autotrain_api.trainingjob import Task
from autotrain_server.tasks import TASKS
from autotrain_server.tasks.boxes import level_sizes

CLASSES = ("red", "green", "blue")
SIZE = 32


def picture(colour: str | tuple[int, int, int], kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    """An encoded picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def graph(weights: np.ndarray, mean: float = 0.5) -> bytes:
    """uint8 [n, SIZE, SIZE, 3] -> float32 [n, classes]: mean colour, normalised, times `weights` [3, classes]."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["unit"]),
        helper.make_node("Sub", ["unit", "mean"], ["centred"]),
        helper.make_node("ReduceMean", ["centred", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["scores"]),
    ]
    constants = {
        "scale": np.array(1 / 255, np.float32),
        "mean": np.array(mean, np.float32),
        "axes": np.array([1, 2], np.int64),
        "weights": weights.astype(np.float32),
    }
    made = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", weights.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_bundle(folder: Path, classes: Sequence[str] = CLASSES, revision: str = "v1-0000000000") -> str:
    """A complete bundle in `folder`; returns its digest."""
    (folder / "golden").mkdir(parents=True)
    (folder / "report").mkdir()
    weights = 8 * np.eye(3)
    inputs = np.stack([np.full((SIZE, SIZE, 3), 255 * np.eye(3, dtype=np.uint8)[i], np.uint8) for i in range(3)])
    scores = ((inputs.mean(axis=(1, 2)) / 255 - 0.5) @ weights).astype(np.float32)
    (folder / bundle.MODEL).write_bytes(graph(weights))
    (folder / bundle.WEIGHTS).write_bytes(weights.tobytes())
    np.save(folder / bundle.GOLDEN_INPUTS, inputs)
    np.save(folder / bundle.GOLDEN_SCORES, scores)
    Image.new("RGB", (40, 30), "white").save(folder / "report/loss.png")
    return sign(folder, manifest_of(folder, classes, revision))


def convolutions(seed: int = 0, classes: int = 3, mean: float = 0.5, std: float = 0.25) -> bytes:
    """uint8 [n, SIZE, SIZE, 3] -> float32 [n, classes]: two convolutions with random weights, as rounding is felt."""
    random = np.random.default_rng(seed)
    constants = {
        "mean": np.full((1, 3, 1, 1), 255 * mean, np.float32),
        "std": np.full((1, 3, 1, 1), 255 * std, np.float32),
        "first": random.normal(0, 0.3, (16, 3, 3, 3)).astype(np.float32),
        "second": random.normal(0, 0.1, (32, 16, 3, 3)).astype(np.float32),
        "head": random.normal(0, 0.5, (32, classes)).astype(np.float32),
        "bias": random.normal(0, 0.5, classes).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["unit"]),
        helper.make_node("Conv", ["unit", "first"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "head", "bias"], ["scores"]),
    ]
    made = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Network inputs, uint8 [count, SIZE, SIZE, 3], each with a colour of its own under noise."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (count, 1, 1, 3))
    noise = random.integers(-40, 41, (count, SIZE, SIZE, 3))
    return np.clip(colours + noise, 0, 255).astype(np.uint8)


def write_convolutions(folder: Path, precisions: Sequence[PrecisionRecord] = (), golden: int = 8) -> str:
    """A bundle of `convolutions`, with the golden scores of ONNX Runtime; returns its digest."""
    (folder / "golden").mkdir(parents=True)
    (folder / bundle.MODEL).write_bytes(convolutions())
    inputs = pictures(golden)
    session = onnxruntime.InferenceSession(convolutions(), providers=["CPUExecutionProvider"])
    [scores] = session.run(None, {"images": inputs})
    np.save(folder / bundle.GOLDEN_INPUTS, inputs)
    np.save(folder / bundle.GOLDEN_SCORES, scores)
    names = [CLASSES[int(top)] for top in scores.argmax(axis=1)]
    manifest = manifest_of(folder, CLASSES, "v1-0000000001")
    samples = [GoldenSample(prediction=name, label=name) for name in names]
    return sign(folder, manifest.model_copy(update={"golden": samples, "precisions": list(precisions)}))


def passed(precision: str = "BFloat16", tolerance: float = 0.05, **changes: Any) -> PrecisionRecord:
    """The record of a precision that was measured and found good."""
    facts = {"precision": precision, "engine": "openvino", "samples": 1000, "agreement": 1.0, "passed": True}
    return PrecisionRecord(**{**facts, "tolerance": tolerance, "reason": "all agree", **changes})


def manifest_of(folder: Path, classes: Sequence[str], revision: str) -> Manifest:
    return Manifest(
        task="Classification",
        name="colours",
        namespace="default",
        revision=revision,
        classes=list(classes),
        preprocessing=ResolvedPreprocessing(
            height=SIZE, width=SIZE, resize="CropToFill", interpolation="Bilinear", mean=[0.5] * 3, std=[1.0] * 3
        ),
        metrics=[MetricValue(name="accuracy", value=0.9, samples=100, low=0.83, high=0.94)],
        golden=[GoldenSample(prediction=name, label=name) for name in classes],
        resolved={},
        recipe={},
        versions={},
        files={},
        created="2026-01-01T00:00:00Z",
    )


def sign(folder: Path, manifest: Manifest) -> str:
    """Write the manifest with the digests of what lies in `folder` now; returns its digest."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {name: bundle.sha256_of(folder / name) for name in names if name != bundle.MANIFEST}
    signed = manifest.model_copy(update={"files": files})
    (folder / bundle.MANIFEST).write_bytes(bundle.dump_manifest(signed))
    return bundle.sha256_of(folder / bundle.MANIFEST)


# --- boxes and masks


def write_detector(folder: Path, boxes: Sequence[tuple[int, int]] = ((5, 0), (10, 2))) -> str:
    """A bundle that finds the same boxes in every picture: pairs of a location on the finest level and a class.

    A box goes one stride (8 pixels) from its location to every side.
    """
    count = sum(rows * columns for rows, columns in level_sizes(SIZE, SIZE))
    rows = np.full((1, count, 4 + 1 + len(CLASSES)), -8, np.float32)
    rows[..., :4] = 1
    for place, label in boxes:
        rows[0, place, [4, 5 + label]] = 4
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["zeros"]),
        helper.make_node("Add", ["rows", "zeros"], ["scores"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "nothing": np.array(0, np.float32),
        "shape": np.array([-1, 1, 1], np.int64),
        "rows": rows,
    }
    made = _graph(nodes, constants, TensorProto.FLOAT, ["n", *rows.shape[1:]])
    return _write_task(folder, "ObjectDetection", CLASSES, made)


def write_segmenter(folder: Path) -> str:
    """A bundle that calls red pixels "roof" and the others background."""
    nodes = [
        helper.make_node("Gather", ["images", "red"], ["channel"], axis=3),
        helper.make_node("Cast", ["channel"], ["level"], to=TensorProto.FLOAT),
        helper.make_node("Greater", ["level", "half"], ["there"]),
        helper.make_node("Cast", ["there"], ["classes"], to=TensorProto.UINT8),
        helper.make_node("Cast", ["there"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["one", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "sure"], ["certain"]),
        helper.make_node("Cast", ["certain"], ["confidence"], to=TensorProto.UINT8),
        helper.make_node("Unsqueeze", ["classes", "axis"], ["a"]),
        helper.make_node("Unsqueeze", ["confidence", "axis"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["scores"], axis=1),
    ]
    constants = {
        "red": np.array(0, np.int64),
        "half": np.array(128, np.float32),
        "nothing": np.array(0, np.float32),
        "sure": np.array(204, np.float32),
        "axis": np.array([1], np.int64),
    }
    made = _graph(nodes, constants, TensorProto.UINT8, ["n", 2, SIZE, SIZE])
    return _write_task(folder, "Segmentation", ("background", "roof"), made)


def _graph(nodes: Sequence[Any], constants: dict[str, np.ndarray], kind: int, shape: Sequence[Any]) -> bytes:
    made = helper.make_graph(
        nodes,
        "task",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("scores", kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _write_task(folder: Path, task: Task, classes: Sequence[str], graph: bytes) -> str:
    (folder / "golden").mkdir(parents=True)
    (folder / bundle.MODEL).write_bytes(graph)
    inputs = pictures(2)
    scores = onnxruntime.InferenceSession(graph).run(None, {"images": inputs})[0]
    np.save(folder / bundle.GOLDEN_INPUTS, inputs)
    np.save(folder / bundle.GOLDEN_SCORES, scores)
    manifest = manifest_of(folder, classes, "v1-0000000000")
    found = TASKS[task](classes, manifest.preprocessing, {}).headlines(scores)
    golden = [GoldenSample(prediction=name, label=name) for name in found]
    letterbox = manifest.preprocessing.model_copy(update={"resize": "Letterbox"})
    return sign(folder, manifest.model_copy(update={"task": task, "golden": golden, "preprocessing": letterbox}))
