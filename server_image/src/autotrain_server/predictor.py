"""A verified bundle that answers: bytes of pictures -> scores -> answers.

`Predictor.load` is the one door: what it returns has matching digests and reproduces the golden scores.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from autotrain_api import bundle
from autotrain_api.bundle import Manifest
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.engine import (
    Engine,
    EngineError,
    EngineMissingError,
    Graph,
    OpenVinoEngine,
    Scores,
    openvino_precisions,
    read_graph,
)
from autotrain_server.golden import OTHERS, TOGETHER, Golden, check_golden, check_tolerance, read_golden
from autotrain_server.precision import AUTO, FLOAT32, Choice, PrecisionRefused, choose, fall_back
from autotrain_server.preprocess import MAX_PIXELS, Pixels, decode
from autotrain_server.reading import BundleError as BundleError
from autotrain_server.reading import read_verified as read_verified

ENGINE_HINT = "Set serving.image to one with onnxruntime-gpu and CUDA, or serving.gpus to 0."
PRECISION_HINT = "Take serving.precision Auto or Float32, or train again where it can be measured."


class Scored(NamedTuple):
    label: str
    confidence: float


class Answer(NamedTuple):
    """The answer for one picture: `top` is sorted, the prediction first."""

    prediction: str
    confidence: float
    top: list[Scored]


class Predictor:
    """A model with its preprocessing, class names and postprocessing."""

    def __init__(self, manifest: Manifest, engine: Engine, digest: str = "", precision_note: str = "") -> None:
        """Made from verified parts by `load`."""
        self.manifest = manifest
        self.engine = engine
        self.digest = digest
        self.precision_note = precision_note
        """Why the engine's precision is not what was asked for; "" when it is."""

    @classmethod
    def load(cls, folder: Path, sha256: str | None = None, precision: str = AUTO, gpus: int = 0) -> Self:
        """Verify and compile a bundle.

        `sha256` is the expected digest of its manifest, `precision` one of spec.serving.precision; with `gpus` ONNX
        Runtime answers, in Float32. Float32 is checked first, whatever is served. Raises BundleError.
        """
        manifest, digest = read_verified(folder, sha256)
        golden = read_golden(folder, manifest)
        try:
            engine, note = (_on_gpu if gpus else _on_cpu)(folder / bundle.MODEL, manifest, golden, precision)
        except PrecisionRefused as error:
            raise BundleError(Reason.PRECISION_UNAVAILABLE, bundle.MANIFEST, str(error), PRECISION_HINT) from error
        except EngineMissingError as error:
            raise BundleError(Reason.ENGINE_MISSING, "", str(error), ENGINE_HINT) from error
        except EngineError as error:
            raise BundleError(Reason.BUNDLE_ALTERED, bundle.MODEL, str(error)) from error
        return cls(manifest, engine, digest, note)

    def decode(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
        """Bytes of a picture -> uint8 [height, width, 3] as the graph takes it. Raises ImageError."""
        return decode(data, self.manifest.preprocessing, max_pixels)

    def logits(self, images: NDArray[np.uint8]) -> Scores:
        """uint8 [n, height, width, 3] -> float32 [n, classes]."""
        return self.engine.scores(images)

    def predict(self, pictures: Sequence[bytes], postprocessing: Postprocessing | None = None) -> list[Answer]:
        """Bytes of pictures -> answers, in order. Raises ImageError."""
        scores = self.logits(np.stack([self.decode(picture) for picture in pictures]))
        return [self.answer(row, postprocessing) for row in scores]

    def answer(self, logits: Scores, postprocessing: Postprocessing | None = None) -> Answer:
        """Scores of one picture [classes] -> its answer."""
        settings = postprocessing or Postprocessing()
        confidences = softmax(logits)
        order = np.argsort(-confidences, kind="stable")[: settings.top_k]
        names = [self.manifest.classes[int(position)] for position in order]
        top = [
            Scored(settings.labels.get(name, name), float(confidences[int(position)]))
            for name, position in zip(names, order, strict=True)
        ]
        return Answer(top[0].label, top[0].confidence, top)


def _on_cpu(model: Path, manifest: Manifest, golden: Golden, asked: str) -> tuple[Engine, str]:
    """OpenVINO in the precision that is chosen, and the note. Raises BundleError, EngineError, PrecisionRefused."""
    graph = read_graph(model)
    engine = OpenVinoEngine(graph)
    check_golden(engine, golden, manifest, TOGETHER)
    choice = choose(asked, manifest.precisions, engine.name, openvino_precisions())
    if choice.precision != FLOAT32:
        del engine  # its memory goes before the other one is compiled
        try:
            return _lower(graph, model.parent, manifest, golden, choice), ""
        except EngineError as error:
            choice = fall_back(asked, str(error))
            engine = OpenVinoEngine(graph)
    check_golden(engine, golden, manifest, OTHERS)
    return engine, choice.note


def _lower(graph: Graph, folder: Path, manifest: Manifest, golden: Golden, choice: Choice) -> Engine:
    """An engine below Float32 whose golden scores are within the record's tolerance. Raises BundleError, EngineError."""
    if choice.precision == "Int8":
        graph = read_graph(_listed(folder, bundle.MODEL_INT8, manifest))
    engine = OpenVinoEngine(graph, choice.precision)
    check_tolerance(engine, golden, choice.tolerance)
    return engine


def _listed(folder: Path, name: str, manifest: Manifest) -> Path:
    """A file whose digest was verified. Raises BundleError."""
    if name not in manifest.files:
        raise BundleError(Reason.BUNDLE_INCOMPLETE, name, f"{name} is not listed in manifest.json")
    return folder / name


def _on_gpu(model: Path, manifest: Manifest, golden: Golden, asked: str) -> tuple[Engine, str]:
    """ONNX Runtime on the GPU, and the note. Raises BundleError, EngineError, PrecisionRefused."""
    from autotrain_server.onnxruntime_engine import OnnxRuntimeEngine

    engine = OnnxRuntimeEngine(model, gpu=True)
    check_golden(engine, golden, manifest)
    choice = choose(asked, manifest.precisions, engine.name, {FLOAT32})
    return engine, choice.note


def softmax(logits: Scores) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))
