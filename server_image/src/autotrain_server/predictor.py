"""A verified bundle that answers: bytes of pictures -> scores -> answers.

`Predictor.load` is the one door: what it returns has matching digests and reproduces the golden scores.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from autotrain_api import bundle
from autotrain_api.bundle import Manifest
from autotrain_api.names import Reason
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.engine import Engine, EngineError, OpenVinoEngine, Scores
from autotrain_server.preprocess import MAX_PIXELS, Pixels, decode

GOLDEN_BATCH = 16


class BundleError(Exception):
    """A bundle that must not answer. `reason` is a Reason, `file` the path inside the bundle."""

    def __init__(self, reason: Reason, file: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.file = file

    def told(self) -> str:
        """The message for whoever does not see `file`."""
        return str(self) if not self.file or self.file in str(self) else f"{self.file}: {self}"


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

    def __init__(self, manifest: Manifest, engine: Engine, digest: str = "") -> None:
        """Made from parts by the trainer before there is a bundle; everything else calls `load`."""
        self.manifest = manifest
        self.engine = engine
        self.digest = digest

    @classmethod
    def load(cls, folder: Path, sha256: str | None = None) -> Self:
        """Verify and compile a bundle; `sha256` is the expected digest of its manifest. Raises BundleError."""
        manifest, digest = read_verified(folder, sha256)
        try:
            engine = OpenVinoEngine(folder / bundle.MODEL)
        except EngineError as error:
            raise BundleError(Reason.BUNDLE_ALTERED, bundle.MODEL, str(error)) from error
        predictor = cls(manifest, engine, digest)
        predictor.check_golden(folder)
        return predictor

    def check_golden(self, folder: Path) -> None:
        """Compare with the golden scores, in a batch of one and in a full one. Raises BundleError."""
        inputs, expected = read_golden(folder, self.manifest)
        scale = float(np.abs(expected).max()) or 1.0
        try:
            alone = self.engine.scores(inputs[:1])
            batches = [self.engine.scores(inputs[i : i + GOLDEN_BATCH]) for i in range(0, len(inputs), GOLDEN_BATCH)]
        except RuntimeError as error:
            raise BundleError(Reason.GOLDEN_MISMATCH, bundle.MODEL, f"the graph does not run: {error}") from error
        together = np.concatenate(batches)
        if together.shape != expected.shape:
            raise BundleError(
                Reason.GOLDEN_MISMATCH,
                bundle.MODEL,
                f"the graph gives scores of shape {together.shape}, the golden ones have {expected.shape}",
            )
        for what, scores, wanted in (("alone", alone, expected[:1]), ("in a batch", together, expected)):
            difference = float(np.abs(scores - wanted).max()) / scale
            if not difference <= bundle.GOLDEN_TOLERANCE:
                raise BundleError(
                    Reason.GOLDEN_MISMATCH,
                    bundle.GOLDEN_SCORES,
                    f"golden scores differ by {difference:.2g} of their scale {what}; "
                    f"at most {bundle.GOLDEN_TOLERANCE:g} is allowed",
                )
        self._check_class_names(together)

    def _check_class_names(self, scores: Scores) -> None:
        for position, (top, sample) in enumerate(zip(scores.argmax(axis=1), self.manifest.golden, strict=True)):
            if self.manifest.classes[int(top)] != sample.prediction:
                raise BundleError(
                    Reason.GOLDEN_MISMATCH,
                    bundle.MANIFEST,
                    f"golden picture {position} is {self.manifest.classes[int(top)]!r} here and was "
                    f"{sample.prediction!r} when the model was made: the order of the classes differs",
                )

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


def softmax(logits: Scores) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def read_verified(folder: Path, sha256: str | None = None) -> tuple[Manifest, str]:
    """The manifest whose digests every file matches, and its own digest. Raises BundleError."""
    path = folder / bundle.MANIFEST
    if not path.is_file():
        raise BundleError(Reason.BUNDLE_INCOMPLETE, bundle.MANIFEST, f"there is no {path}: not a bundle, or unfinished")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, "manifest.json is a link out of the bundle")
    digest = bundle.sha256_of(path)
    if sha256 and digest != sha256:
        raise BundleError(
            Reason.BUNDLE_ALTERED, bundle.MANIFEST, f"sha256 of manifest.json is {digest}, the trained one had {sha256}"
        )
    try:
        manifest = bundle.read_manifest(folder)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "manifest.json"
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.MANIFEST, f"manifest.json: {place}: {first['msg']}") from error
    for name, expected in manifest.files.items():
        _verify(folder, name, expected)
    for name in (bundle.MODEL, bundle.GOLDEN_INPUTS, bundle.GOLDEN_SCORES):
        if name not in manifest.files:
            raise BundleError(Reason.BUNDLE_INCOMPLETE, name, f"{name} is not listed in manifest.json")
    return manifest, digest


def _verify(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name} lies outside of the bundle")
        if not path.is_file():
            raise BundleError(
                Reason.BUNDLE_INCOMPLETE, name, f"{name or 'a file without a name'} is missing from the bundle"
            )
        found = bundle.sha256_of(path)
    except (OSError, ValueError, RuntimeError) as error:  # a name that is none, a loop of links, no permission
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name!r} cannot be read: {error}") from error
    if found != expected:
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"sha256 of {name} is {found}, the manifest says {expected}")


def read_golden(folder: Path, manifest: Manifest) -> tuple[NDArray[np.uint8], Scores]:
    """Golden inputs [n, height, width, 3] and scores [n, classes]. Raises BundleError."""
    inputs, scores = _array(folder, bundle.GOLDEN_INPUTS), _array(folder, bundle.GOLDEN_SCORES)
    size = (manifest.preprocessing.height, manifest.preprocessing.width, 3)
    count = len(manifest.golden)
    if inputs.dtype != np.uint8 or inputs.shape != (count, *size) or scores.shape != (count, len(manifest.classes)):
        raise BundleError(
            Reason.BUNDLE_ALTERED,
            bundle.GOLDEN_INPUTS,
            f"golden inputs are {inputs.dtype} {inputs.shape} and scores {scores.shape}; "
            f"the manifest has {count} samples of {size} and {len(manifest.classes)} classes",
        )
    if scores.dtype != np.float32:
        raise BundleError(Reason.BUNDLE_ALTERED, bundle.GOLDEN_SCORES, f"golden scores are {scores.dtype}, not float32")
    return inputs, scores


def _array(folder: Path, name: str) -> NDArray[Any]:
    """A .npy file, mapped before it is read, so that a header cannot ask for more memory than the file has bytes."""
    try:
        return np.array(np.lib.format.open_memmap(folder / name, mode="r"))
    except Exception as error:
        raise BundleError(Reason.BUNDLE_ALTERED, name, f"{name} does not load: {error}") from error
