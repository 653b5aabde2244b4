"""Classification: pictures with one label each. Read it from top to bottom; every step is one call.

data -> model -> export once, untrained -> fit -> measure and bundle
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.names import Stage
from autotrain_api.outcome import Succeeded
from autotrain_api.run import RunConfig
from autotrain_server.engine import cpu_limit
from autotrain_trainer import resolved as resolving
from autotrain_trainer.bundling import make_bundle
from autotrain_trainer.data.fetch import fetch
from autotrain_trainer.data.layouts import classes_of, read_parts
from autotrain_trainer.data.pictures import PictureSet, load_pictures
from autotrain_trainer.export import try_export
from autotrain_trainer.failures import translate
from autotrain_trainer.fit import train
from autotrain_trainer.model import Network, build
from autotrain_trainer.output import output_folder, work_folder
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.resolved import Resolved


@dataclass
class Prepared:
    classes: list[str]
    network: Network
    preprocessing: ResolvedPreprocessing
    pictures: PictureSet
    resolved: Resolved


def prepare(run: RunConfig, board: ProgressBoard, work: Path) -> Prepared:
    """Everything before the first step. Raises RunError."""
    recipe = run.recipe
    # --- data
    board.say("opening data", percent=0)
    folder = fetch(run.data_uri, recipe.data.sha256, work, board.say)
    parts = read_parts(folder, recipe.data)
    classes = classes_of([*parts.train, *parts.validation, *parts.test], recipe.data)
    # --- model
    board.say(f"building {recipe.model.backbone}", percent=1)
    seed_everything(recipe.training.seed)
    network, preprocessing = build(run, len(classes))
    # --- what cannot be served fails here
    board.say("trying the export", percent=2)
    try_export(network, work / "untrained.onnx", preprocessing.height, preprocessing.width, recipe.training.seed)
    # --- pixels
    board.say("reading pictures", percent=3)
    pictures = load_pictures(parts, classes, recipe.data, preprocessing, work, board.say)
    if pictures.damaged:
        board.say(f"{len(pictures.damaged)} damaged pictures are left out: {'; '.join(pictures.damaged)}")
    resolved = resolve(run, network, preprocessing, len(pictures.train))
    board.say(
        f"{len(pictures.train)} pictures to train on, {len(pictures.validation)} to validate, {len(classes)} classes, "
        f"batch size {resolved.batch_size}, {resolved.precision}",
        percent=4,
    )
    return Prepared(classes, network, preprocessing, pictures, resolved)


def resolve(run: RunConfig, network: Network, preprocessing: ResolvedPreprocessing, pictures: int) -> Resolved:
    """What an earlier attempt decided, or what is decided now."""
    known = resolving.load(work_folder(output_folder(run)))
    if known is not None:
        torch.set_num_threads(known.threads)
        return known
    settings = run.recipe.training
    return Resolved(
        batch_size=resolving.batch_size_for(settings, pictures),
        precision=resolving.precision_for(settings, network, preprocessing.height, preprocessing.width),
        learning_rate=settings.learning_rate,
        threads=torch.get_num_threads(),
        seed=settings.seed,
    )


def try_step(ready: Prepared) -> None:
    """One forward and backward pass with the first batch."""
    images = torch.from_numpy(ready.pictures.validation.pixels[: ready.resolved.batch_size])
    targets = torch.from_numpy(ready.pictures.validation.targets[: ready.resolved.batch_size])
    loss = torch.nn.functional.cross_entropy(ready.network.train()(images), targets)
    loss.backward()  # type: ignore[no-untyped-call]


def run_recipe(run: RunConfig, board: ProgressBoard, work: Path) -> Succeeded:
    """Train and bundle. Raises RunError."""
    ready = prepare(run, board, work)
    # --- fit
    keep = work_folder(output_folder(run))
    micro_batch = min(run.micro_batch_size or ready.resolved.batch_size, ready.resolved.batch_size)
    try:
        history = train(
            ready.network,
            ready.pictures,
            run,
            ready.resolved,
            micro_batch,
            board,
            work,
            lambda: resolving.save(ready.resolved, keep),
        )
    except (RuntimeError, MemoryError) as error:
        raise translate(error, Stage.TRAINING, micro_batch) from error
    # --- result
    board.say("measuring and writing the bundle", percent=92)
    outcome = make_bundle(
        run, ready.network, ready.preprocessing, ready.classes, ready.pictures, history, ready.resolved
    )
    board.say("done", percent=100)
    return outcome


def seed_everything(seed: int) -> None:
    torch.set_num_threads(min(torch.get_num_threads(), cpu_limit()))  # OMP_NUM_THREADS may ask for fewer
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
