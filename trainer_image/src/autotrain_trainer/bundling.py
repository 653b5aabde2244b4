"""A trained network becomes a bundle: exported, measured, written beside its place, verified, and moved there whole."""

import datetime
import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import Tensor, nn

from autotrain_api import bundle
from autotrain_api.bundle import GoldenSample, Manifest
from autotrain_api.names import Reason, Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.engine import Scores
from autotrain_server.predictor import Predictor
from autotrain_server.reading import BundleError
from autotrain_server.tasks import TASKS, Task
from autotrain_trainer.assessment import Assessment
from autotrain_trainer.data.pictures import Pictures
from autotrain_trainer.export import check_parity, export
from autotrain_trainer.failures import RunError
from autotrain_trainer.history import History
from autotrain_trainer.output import output_folder, work_folder
from autotrain_trainer.own_functions import serving_source
from autotrain_trainer.precision import calibration_of, measure_precisions, sample_of
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.report import class_table, model_card, write_curves

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


def make_bundle(run: RunConfig, ready: Prepared, history: History) -> Succeeded:
    """Write the bundle of `run` and say what it is worth. Raises RunError."""
    output = output_folder(run)
    partial = work_folder(output) / "bundle"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "golden").mkdir(parents=True)
    pictures, preprocessing, assessment = ready.pictures, ready.preprocessing, ready.assessment
    size = (preprocessing.height, preprocessing.width)
    engine = export(ready.served, partial / bundle.MODEL, *size, ready.classes)
    published = pictures.published
    scores, difference = check_parity(ready.served, engine, published.pixels, ready.compare)
    validation = scores
    if pictures.test is not None:
        validation, more = check_parity(ready.served, engine, pictures.validation.pixels, ready.compare)
        difference = max(difference, more)
    calibration = ready.calibrate((validation, pictures.validation), (scores, published))
    save_file(weights_of(ready.network), partial / bundle.WEIGHTS)
    write_curves(partial / bundle.REPORT, history)
    assessment.report(partial / bundle.REPORT, scores, published)
    task = TASKS[run.recipe.task](ready.classes, preprocessing, ready.resolved.model_dump())
    golden = write_golden(partial, scores, published, assessment, task)
    sample = sample_of(pictures, scores, engine)
    manifest = Manifest(
        task=run.recipe.task,
        name=run.name,
        namespace=run.namespace,
        revision=run.revision,
        classes=list(ready.classes),
        preprocessing=preprocessing,
        metrics=assessment.measure(scores, published),
        precisions=measure_precisions(partial, sample, calibration_of(pictures), assessment, task),
        golden=golden,
        resolved=ready.resolved.model_dump()
        | calibration
        | {
            "best_epoch": history.best_epoch,
            "pictures": {
                "train": len(pictures.train),
                "validation": len(pictures.validation),
                "test": len(pictures.test or ()),
            },
            **({"ended": history.ended} if history.ended else {}),
            **({"leaked": len(pictures.leaked)} if pictures.leaked else {}),
            "damaged": pictures.damaged[:20],
            "float32_difference": difference,
        },
        recipe=run.recipe.to_dict(),
        versions={"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES},
        files={},
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    if functions := serving_source(run):
        (partial / bundle.FUNCTIONS).write_text(functions, encoding="utf-8")
    report = partial / bundle.REPORT
    card = model_card(manifest, pictures.damaged, class_table(report))
    (report / "model_card.md").write_text(card, encoding="utf-8")
    digest = finish(partial, output, manifest)
    worst = assessment.worst_classes(scores, published)
    return Succeeded(bundle_sha256=digest, metrics=manifest.metrics, worst_classes=worst)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies, each with memory of its own: safetensors takes none that two names share."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}


def write_golden(
    folder: Path, scores: Scores, pictures: Pictures, assessment: Assessment, task: Task
) -> list[GoldenSample]:
    """Golden inputs and scores, of the pictures that the task chooses."""
    chosen = assessment.golden(scores, pictures)
    np.save(folder / bundle.GOLDEN_INPUTS, pictures.pixels[chosen])
    np.save(folder / bundle.GOLDEN_SCORES, scores[chosen])
    return [
        GoldenSample(prediction=headline, label=assessment.label(pictures, row))
        for row, headline in zip(chosen, task.headlines(scores[chosen]), strict=True)
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
