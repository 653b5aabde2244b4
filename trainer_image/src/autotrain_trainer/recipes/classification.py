"""Classification: pictures with one label each. Read it from top to bottom; every step is one call.

data -> model -> export once, untrained -> pixels; then running.py: fit -> measure and bundle
"""

from functools import partial
from pathlib import Path

import numpy as np

from autotrain_api.run import RunConfig
from autotrain_trainer.data.fetch import fetch
from autotrain_trainer.data.layouts import classes_of, read_parts
from autotrain_trainer.data.pictures import load_pictures
from autotrain_trainer.export import try_export
from autotrain_trainer.label_objective import LabelObjective
from autotrain_trainer.labels import LabelAssessment, Labels, check_classes
from autotrain_trainer.model import build
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.recipes.running import resolve, seed_everything, tell


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
    network, preprocessing = build(run, len(classes), work, board.say)
    # --- what cannot be served fails here
    board.say("trying the export", percent=2)
    try_export(network, work / "untrained.onnx", preprocessing.height, preprocessing.width, recipe.training.seed)
    # --- pixels
    board.say("reading pictures", percent=3)
    pictures = load_pictures(parts, recipe.data, preprocessing, work, board.say, partial(Labels, classes))
    if unmeasured := check_classes(pictures, classes):
        board.say(unmeasured)
    resolved = resolve(run, network, preprocessing, len(pictures.train))
    tell(board, pictures, classes, resolved)
    counts = np.bincount(pictures.train.targets, minlength=len(classes))
    objective = LabelObjective(recipe, preprocessing, run.gate_metric, counts)
    assessment = LabelAssessment(classes, run.gate_metric)
    return Prepared(
        classes, network, network, preprocessing, pictures, resolved, objective, assessment, assessment.calibrate
    )
