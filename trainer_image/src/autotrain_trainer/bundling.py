"""A trained network becomes a bundle: exported, measured, written beside its place, verified, and moved there whole."""

import datetime
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from autotrain_api import bundle
from autotrain_api.bundle import GoldenSample, Manifest, ResolvedPreprocessing
from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.engine import Scores
from autotrain_server.predictor import Predictor, softmax
from autotrain_server.reading import BundleError
from autotrain_trainer.data.pictures import Pictures, PictureSet
from autotrain_trainer.export import check_parity, export
from autotrain_trainer.failures import RunError
from autotrain_trainer.fit import History
from autotrain_trainer.measure import confusion, measure, worst_classes
from autotrain_trainer.model import Network
from autotrain_trainer.output import output_folder, work_folder
from autotrain_trainer.precision import calibration_of, measure_precisions, sample_of
from autotrain_trainer.report import model_card, write_report
from autotrain_trainer.resolved import Resolved

GOLDEN_MOST = 64
GOLDEN_CLOSE = 8
"""How many golden pictures are chosen for their small margin between the first two classes."""
READABLE = 0o644
"""Serving pods may run as another user."""
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "fastai",
    "onnx",
    "onnxruntime",
    "openvino",
    "pillow",
    "simplejpeg",
    "numpy",
)


def make_bundle(
    run: RunConfig,
    network: Network,
    preprocessing: ResolvedPreprocessing,
    classes: Sequence[str],
    pictures: PictureSet,
    history: History,
    resolved: Resolved,
) -> Succeeded:
    """Write the bundle of `run` and say what it is worth. Raises RunError."""
    output = output_folder(run)
    partial = work_folder(output) / "bundle"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "golden").mkdir(parents=True)
    engine = export(network, partial / bundle.MODEL, preprocessing.height, preprocessing.width)
    published = pictures.published
    _, validation_difference = check_parity(network, engine, pictures.validation.pixels)
    scores, difference = check_parity(network, engine, published.pixels)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, partial / bundle.WEIGHTS)
    golden = write_golden(partial, scores, published, classes)
    write_report(partial / bundle.REPORT, history, published, softmax(scores), classes)
    predicted = scores.argmax(axis=1)
    manifest = Manifest(
        task=run.recipe.task,
        name=run.name,
        namespace=run.namespace,
        revision=run.revision,
        classes=list(classes),
        preprocessing=preprocessing,
        metrics=measure(predicted, published.targets, len(classes), run.gate_metric),
        precisions=measure_precisions(
            partial, sample_of(pictures, scores, engine), calibration_of(pictures), run.gate_metric
        ),
        golden=golden,
        resolved=resolved.model_dump()
        | {
            "best_epoch": history.best_epoch,
            "pictures": {
                "train": len(pictures.train),
                "validation": len(pictures.validation),
                "test": len(pictures.test or ()),
            },
            "damaged": pictures.damaged[:20],
            "float32_difference": max(difference, validation_difference),
        },
        recipe=run.recipe.to_dict(),
        versions={"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES},
        files={},
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    (partial / bundle.REPORT / "model_card.md").write_text(model_card(manifest, pictures.damaged), encoding="utf-8")
    digest = finish(partial, output, manifest)
    counts = confusion(predicted, published.targets, len(classes))
    return Succeeded(bundle_sha256=digest, metrics=manifest.metrics, worst_classes=worst_classes(counts, classes))


def write_golden(folder: Path, scores: Scores, pictures: Pictures, classes: Sequence[str]) -> list[GoldenSample]:
    """Golden inputs and scores: a picture of each class, then those that were decided most narrowly."""
    order = np.sort(scores, axis=1)
    margins = order[:, -1] - order[:, -2]
    firsts = [int(np.flatnonzero(pictures.targets == label)[0]) for label in np.unique(pictures.targets)]
    chosen = firsts[: GOLDEN_MOST - GOLDEN_CLOSE]
    chosen += [int(index) for index in np.argsort(margins) if int(index) not in chosen][:GOLDEN_CLOSE]
    np.save(folder / bundle.GOLDEN_INPUTS, pictures.pixels[chosen])
    np.save(folder / bundle.GOLDEN_SCORES, scores[chosen])
    return [
        GoldenSample(prediction=classes[int(scores[index].argmax())], label=pictures.samples[index].label)
        for index in chosen
    ]


def finish(partial: Path, output: Path, manifest: Manifest) -> str:
    """Sign, verify and move the bundle into its place; returns its digest. Raises RunError."""
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    digests = {path.relative_to(partial).as_posix(): bundle.sha256_of(path) for path in files}
    signed = manifest.model_copy(update={"files": digests})
    (partial / bundle.MANIFEST).write_bytes(bundle.dump_manifest(signed))
    for path in (*files, partial / bundle.MANIFEST):
        path.chmod(READABLE)
        _sync(path)
    try:
        predictor = Predictor.load(partial)
    except BundleError as error:
        raise RunError(Stage.EXPORT, Reason.EXPORT_MISMATCH, f"the finished bundle is refused: {error}") from error
    if output.exists():
        shutil.rmtree(output)
    partial.rename(output)
    _sync(output.parent)
    return predictor.digest


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
