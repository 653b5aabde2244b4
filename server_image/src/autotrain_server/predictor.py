"""A verified bundle that answers: bytes of pictures -> scores -> answers.

`Predictor.load` is the one door: what it returns has matching digests and reproduces the golden scores.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from autotrain_api import bundle
from autotrain_api.bundle import Manifest
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.answers import Answer
from autotrain_server.engine import (
    ElasticEngine,
    Engine,
    EngineError,
    EngineMissingError,
    Graph,
    OpenVinoEngine,
    Scores,
    cpu_limit,
    metadata_of,
    narrow_streams,
    openvino_precisions,
    read_graph,
    wide_streams,
)
from autotrain_server.functions import Change, Finish, FunctionError, preprocessor, read_functions
from autotrain_server.golden import OTHERS, TOGETHER, Golden, check_classes, check_golden, check_tolerance, read_golden
from autotrain_server.precision import AUTO, FLOAT32, Choice, PrecisionRefused, choose, fall_back
from autotrain_server.preprocess import MAX_PIXELS, Picture, Pixels, read
from autotrain_server.reading import BundleError as BundleError
from autotrain_server.reading import read_verified as read_verified
from autotrain_server.tasks import Seen, task_of

ENGINE_HINT = "Set serving.image to one with onnxruntime-gpu and CUDA, or serving.gpus to 0."
FUNCTION_HINT = "Correct it in the ConfigMap that spec.functions names."
SECOND_BYTES = 32_000_000
"""Weights of a second engine beside the first are at most as large: more of them cost a pod more memory than they are worth."""
WEIGHT_SHARES = {"Float32": 1.0, "BFloat16": 0.5, "Int8": 1.0}
"""Precision -> size of an engine's weights, in sizes of the file that it is made from."""
PRECISION_HINT = "Take serving.precision Auto or Float32, or train again where it can be measured."


class Predictor:
    """A model with its preprocessing, class names and postprocessing."""

    def __init__(self, manifest: Manifest, engine: Engine, digest: str = "", precision_note: str = "") -> None:
        """Made from verified parts by `load`."""
        self.manifest = manifest
        self.task = task_of(manifest)
        self.engine = engine
        self.digest = digest
        self.precision_note = precision_note
        """Why the engine's precision is not what was asked for; "" when it is."""
        self.change: Change | None = None
        """The job's own preprocess_function."""
        self.finish: Finish | None = None
        """The job's own postprocess_function, for answers as they are sent."""
        self._spread: Callable[[], None] | None = None

    def spread(self) -> None:
        """What is left to do once answers are given: it makes many at a time faster. Raises BundleError, EngineError."""
        if self._spread is not None:
            self._spread()

    @classmethod
    def load(cls, folder: Path, sha256: str | None = None, precision: str = AUTO, gpus: int = 0) -> Self:
        """Verify and compile a bundle.

        `sha256` is the expected digest of its manifest, `precision` one of spec.serving.precision; with `gpus` ONNX
        Runtime answers, in Float32. Float32 is checked first, whatever is served. Raises BundleError.
        """
        manifest, digest = read_verified(folder, sha256)
        golden = read_golden(folder, manifest, task_of(manifest))
        try:
            loaded = (_on_gpu if gpus else _on_cpu)(folder / bundle.MODEL, manifest, golden, precision)
        except PrecisionRefused as error:
            raise BundleError(Reason.PRECISION_UNAVAILABLE, bundle.MANIFEST, str(error), PRECISION_HINT) from error
        except EngineMissingError as error:
            raise BundleError(Reason.ENGINE_MISSING, "", str(error), ENGINE_HINT) from error
        except EngineError as error:
            raise BundleError(Reason.BUNDLE_ALTERED, bundle.MODEL, str(error)) from error
        predictor = cls(manifest, loaded.engine, digest, loaded.note)
        predictor._spread = loaded.spread
        predictor.change = _own_change(folder, manifest)
        return predictor

    def read(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
        """Bytes of a picture -> its pixels as the graph takes them, and its size. Raises ImageError, FunctionError."""
        picture = read(data, self.manifest.preprocessing, max_pixels)
        return picture if self.change is None else picture._replace(pixels=self.change(picture.pixels))

    def decode(self, data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
        """Bytes of a picture -> uint8 [height, width, 3] as the graph takes it. Raises ImageError."""
        return self.read(data, max_pixels).pixels

    def scores(self, images: NDArray[np.uint8]) -> Scores:
        """uint8 [n, height, width, 3] -> what the graph says, [n, ...]."""
        return self.engine.scores(images)

    def predict(self, pictures: Sequence[bytes], postprocessing: Postprocessing | None = None) -> list[Answer]:
        """Bytes of pictures -> answers, in order. Raises ImageError, FunctionError."""
        found = [self.read(picture) for picture in pictures]
        scores = self.scores(np.stack([picture.pixels for picture in found]))
        seen = [Seen(row, picture.width, picture.height) for row, picture in zip(scores, found, strict=True)]
        answers = [self.answer(one, postprocessing) for one in seen]
        finish = self.finish
        return [*answers] if finish is None else [finish(answer.model_dump(mode="json")) for answer in answers]

    def answer(self, seen: Seen, postprocessing: Postprocessing | None = None) -> BaseModel:
        """What the engine said of one picture -> its answer, before an own function sees it."""
        return self.task.answer(seen, postprocessing or Postprocessing())


def _own_change(folder: Path, manifest: Manifest) -> Change | None:
    """The preprocess_function of the bundle, when it was trained with one. Raises BundleError."""
    wanted = manifest.preprocessing
    if not wanted.function:
        return None
    try:
        functions = read_functions(_listed(folder, bundle.FUNCTIONS, manifest))
        return preprocessor(functions, wanted.function, wanted.height, wanted.width)
    except FunctionError as error:
        raise BundleError(Reason.FUNCTION_FAILED, bundle.FUNCTIONS, str(error), FUNCTION_HINT) from error


class _Loaded(NamedTuple):
    engine: Engine
    note: str
    spread: Callable[[], None] | None = None


Verified = Callable[[int | None], Engine]
"""Number of streams -> an engine whose golden scores are right. Raises BundleError, EngineError."""


def _on_cpu(model: Path, manifest: Manifest, golden: Golden, asked: str) -> _Loaded:
    """OpenVINO in the precision that is chosen. Raises BundleError, EngineError, PrecisionRefused."""
    graph = read_graph(model)
    engine: Engine = OpenVinoEngine(graph)
    check_golden(engine, golden, manifest, TOGETHER)
    check_classes(metadata_of(graph, bundle.GRAPH_CLASSES), manifest)
    choice = choose(asked, manifest.precisions, engine.name, openvino_precisions())
    if choice.precision != FLOAT32:
        del engine  # its memory goes before the other one is compiled
        try:
            source = _listed(model.parent, bundle.MODEL_INT8, manifest) if choice.precision == "Int8" else model
            make = _lower(graph if source == model else read_graph(source), golden, choice)
            return _spreading(make(None), "", make, source)
        except EngineError as error:
            choice = fall_back(asked, str(error))
            engine = OpenVinoEngine(graph)
    check_golden(engine, golden, manifest, OTHERS)
    return _spreading(engine, choice.note, _float32(graph, manifest, golden), model)


def _spreading(wide: Engine, note: str, make: Verified, source: Path) -> _Loaded:
    """With an engine of more streams beside it, made later, where processor and memory allow it; `source`: the graph's file."""
    count = cpu_limit()
    streams = narrow_streams(count)
    if streams <= wide_streams(count) or WEIGHT_SHARES[wide.precision] * source.stat().st_size > SECOND_BYTES:
        return _Loaded(wide, note)
    engine = ElasticEngine(wide, streams + 1)

    def spread() -> None:
        engine.narrow = make(streams)

    return _Loaded(engine, note, spread)


def _float32(graph: Graph, manifest: Manifest, golden: Golden) -> Verified:
    def make(streams: int | None) -> Engine:
        engine = OpenVinoEngine(graph, streams=streams)
        check_golden(engine, golden, manifest)
        return engine

    return make


def _lower(graph: Graph, golden: Golden, choice: Choice) -> Verified:
    """Below Float32: golden scores are within the record's tolerance. Raises BundleError, EngineError."""

    def make(streams: int | None) -> Engine:
        engine = OpenVinoEngine(graph, choice.precision, streams=streams)
        check_tolerance(engine, golden, choice.tolerance)
        return engine

    return make


def _listed(folder: Path, name: str, manifest: Manifest) -> Path:
    """A file whose digest was verified. Raises BundleError."""
    if name not in manifest.files:
        raise BundleError(Reason.BUNDLE_INCOMPLETE, name, f"{name} is not listed in manifest.json")
    return folder / name


def _on_gpu(model: Path, manifest: Manifest, golden: Golden, asked: str) -> _Loaded:
    """ONNX Runtime on the GPU. Raises BundleError, EngineError, PrecisionRefused."""
    from autotrain_server.onnxruntime_engine import OnnxRuntimeEngine

    engine = OnnxRuntimeEngine(model, gpu=True)
    check_golden(engine, golden, manifest)
    check_classes(engine.metadata(bundle.GRAPH_CLASSES), manifest)
    choice = choose(asked, manifest.precisions, engine.name, {FLOAT32})
    return _Loaded(engine, choice.note)
