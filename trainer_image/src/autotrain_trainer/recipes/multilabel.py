"""MultiLabelClassification: pictures with any number of labels each. Read it from top to bottom; every step is one call.

data -> model -> export once, untrained -> pixels; then running.py: fit -> measure and bundle
"""

from functools import partial
from pathlib import Path

from autotrain_api.run import RunConfig
from autotrain_trainer.data.cache import open_data
from autotrain_trainer.data.label_set_tables import label_set_tables, labels_in, set_sample
from autotrain_trainer.data.layouts import class_order, descend
from autotrain_trainer.data.own_load import load_parts
from autotrain_trainer.data.pictures import load_pictures
from autotrain_trainer.label_set_objective import LabelSetObjective
from autotrain_trainer.label_sets import LabelSetAssessment, LabelSets, check_label_sets
from autotrain_trainer.model import build
from autotrain_trainer.own_functions import open_functions
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.recipes.running import resolve, seed_everything, tell, try_serving


def prepare(run: RunConfig, board: ProgressBoard, work: Path) -> Prepared:
    """Everything before the first step. Raises RunError."""
    recipe, own = run.recipe, open_functions(run)
    # --- data
    board.say("opening data", percent=0)
    folder = open_data(run, work, board.say)
    if recipe.data.load is None:
        parts, classes = label_set_tables(descend(folder, recipe.data), recipe.data)
    else:
        parts = load_parts(own, run, folder, set_sample)
        classes = class_order(labels_in(parts), recipe.data)
    # --- model
    board.say(f"building {recipe.model.backbone}", percent=1)
    seed_everything(recipe.training.seed)
    network, preprocessing = build(run, len(classes), work, board.say, own)
    # --- what cannot be served fails here
    board.say("trying the export", percent=2)
    try_serving(run, classes, network, preprocessing, work)
    # --- pixels
    board.say("reading pictures", percent=3)
    pictures = load_pictures(
        parts, recipe.data, preprocessing, work, board.say, partial(LabelSets, classes), own.change(preprocessing)
    )
    if unmeasured := check_label_sets(pictures, classes):
        board.say(unmeasured)
    resolved = resolve(run, network, preprocessing, len(pictures.train))
    tell(board, pictures, classes, resolved)
    objective = LabelSetObjective(
        recipe, preprocessing, run.gate_metric, pictures.train.targets, own.augmentation(run, preprocessing)
    )
    assessment = LabelSetAssessment(classes, run.gate_metric)
    return Prepared(
        classes, network, network, preprocessing, pictures, resolved, objective, assessment, assessment.calibrate
    )
