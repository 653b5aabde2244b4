"""What every recipe shares: its choice by task, the decisions before the first step, and fit -> measure and bundle."""

import importlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.engine import cpu_limit
from autotrain_trainer import own_functions
from autotrain_trainer import resolved as resolving
from autotrain_trainer.bundling import make_bundle
from autotrain_trainer.data.pictures import PictureSet
from autotrain_trainer.export import Compare, largest_difference, try_export
from autotrain_trainer.failures import LARGEST_BATCH, translate
from autotrain_trainer.fit import paired, train
from autotrain_trainer.model import Trainable
from autotrain_trainer.output import output_folder, work_folder
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.recipes.refusals import refuse_unfit
from autotrain_trainer.resolved import Resolved

RECIPES = {
    "Classification": "classification",
    "MultiLabelClassification": "multilabel",
    "ObjectDetection": "detection",
    "Segmentation": "segmentation",
}
"""Task -> module of this package; imported when it is asked for, since some need libraries that others do not."""

LEAKS_NAMED = 5


def prepare(run: RunConfig, board: ProgressBoard, work: Path) -> Prepared:
    """Everything before the first step, by the task's recipe. Raises RunError."""
    refuse_unfit(run.recipe)
    recipe = importlib.import_module(f"autotrain_trainer.recipes.{RECIPES[run.recipe.task]}")
    ready: Prepared = recipe.prepare(run, board, work)
    return ready


def run_recipe(run: RunConfig, board: ProgressBoard, work: Path, keep: Callable[[Path], None]) -> Succeeded:
    """Train and bundle; `keep` is told of files in the work folder that later attempts are to find. Raises RunError."""
    ready = prepare(run, board, work)
    # --- fit

    def decided() -> None:
        keep(resolving.save(ready.resolved, work_folder(output_folder(run))))

    micro_batch = min(run.micro_batch_size or ready.resolved.batch_size, ready.resolved.batch_size)
    try:
        history = train(ready, run, micro_batch, board, work, decided)
    except (RuntimeError, MemoryError) as error:
        raise translate(error, Stage.TRAINING, micro_batch) from error
    # --- result
    board.say("measuring and writing the bundle", percent=92)
    return make_bundle(run, ready, history)


def try_serving(
    run: RunConfig,
    classes: Sequence[str],
    served: nn.Module,
    preprocessing: ResolvedPreprocessing,
    work: Path,
    compare: Compare = largest_difference,
) -> None:
    """What cannot be served fails before it costs training: the graph, and the job's own functions. Raises RunError."""
    path, seed = work / "untrained.onnx", run.recipe.training.seed
    scores = try_export(served, path, preprocessing.height, preprocessing.width, seed, compare)
    own_functions.try_serving(run, classes, preprocessing, scores)


def try_step(ready: Prepared) -> None:
    """One forward and backward pass with the first batch."""
    rows = paired(range(min(ready.resolved.batch_size, len(ready.pictures.train))))
    images, target = ready.objective.batch(ready.pictures.train, rows, training=True)
    ready.objective.loss(ready.network.train()(images), *target).backward()  # type: ignore[no-untyped-call]


def resolve(
    run: RunConfig,
    network: Trainable,
    preprocessing: ResolvedPreprocessing,
    pictures: int,
    largest_batch: int = LARGEST_BATCH,
) -> Resolved:
    """What an earlier attempt decided, or what is decided now."""
    known = resolving.load(work_folder(output_folder(run)))
    if known is not None:
        torch.set_num_threads(known.threads)
        return known
    settings = run.recipe.training
    batch = resolving.batch_size_for(settings, pictures, largest_batch)
    together = min(batch, run.micro_batch_size or batch)
    return Resolved(
        batch_size=batch,
        precision=resolving.precision_for(settings, network, preprocessing.height, preprocessing.width, together),
        learning_rate=settings.learning_rate,
        threads=torch.get_num_threads(),
        seed=settings.seed,
    )


def tell(board: ProgressBoard, pictures: PictureSet, classes: Sequence[str], resolved: Resolved) -> None:
    """What is about to be trained on, in words."""
    if pictures.damaged:
        board.say(f"{len(pictures.damaged)} damaged pictures are left out: {'; '.join(pictures.damaged)}")
    if leaked := pictures.leaked:
        board.say(
            f"{len(leaked)} pictures are in the training part and in the one that it is measured on, so its metric says "
            f"too much: {', '.join(leaked[:LEAKS_NAMED])}{', ...' if len(leaked) > LEAKS_NAMED else ''}"
        )
    board.say(
        f"{len(pictures.train)} pictures to train on, {len(pictures.validation)} to validate, {len(classes)} classes, "
        f"batch size {resolved.batch_size}, {resolved.precision}",
        percent=4,
    )


def seed_everything(seed: int) -> None:
    torch.set_num_threads(min(torch.get_num_threads(), cpu_limit()))  # OMP_NUM_THREADS may ask for fewer
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
