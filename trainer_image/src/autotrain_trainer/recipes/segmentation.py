"""Segmentation: a class for every pixel. Read it from top to bottom; every step is one call.

data -> model -> export once, untrained -> pixels; then running.py: fit -> measure and bundle
"""

from pathlib import Path

import numpy as np

from autotrain_api.run import RunConfig
from autotrain_server.tasks import Scores
from autotrain_server.tasks.segmentation import CERTAIN
from autotrain_trainer.data.cache import open_data
from autotrain_trainer.data.coco_masks import coco_masks
from autotrain_trainer.data.layouts import descend
from autotrain_trainer.data.masks import Masks, mask_pairs
from autotrain_trainer.data.pictures import load_pictures
from autotrain_trainer.models.segmenter import Maps, build
from autotrain_trainer.own_functions import open_functions
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.recipes.running import resolve, seed_everything, tell, try_serving
from autotrain_trainer.segmentation import MaskAssessment
from autotrain_trainer.segmentation_objective import MaskObjective

READERS = {"MaskPairs": mask_pairs, "Coco": coco_masks}
MOST_AT_ONCE = 16
"""A batch size that is found is never larger: a picture of masks teaches as much as many labels do."""


def prepare(run: RunConfig, board: ProgressBoard, work: Path) -> Prepared:
    """Everything before the first step. Raises RunError."""
    recipe, own = run.recipe, open_functions(run)
    # --- data
    board.say("opening data", percent=0)
    folder = open_data(run, work, board.say)
    parts, classes = READERS[recipe.layout](descend(folder, recipe.data), recipe.data)
    # --- model
    board.say(f"building {recipe.model.backbone}", percent=1)
    seed_everything(recipe.training.seed)
    network, preprocessing = build(run, len(classes), work, board.say)
    # --- what cannot be served fails here
    board.say("trying the export", percent=2)
    served = Maps(network)
    try_serving(run, classes, served, preprocessing, work, compare_maps)
    # --- pixels
    board.say("reading pictures", percent=3)
    pictures = load_pictures(parts, recipe.data, preprocessing, work, board.say, Masks, own.change(preprocessing))
    resolved = resolve(run, network, preprocessing, len(pictures.train), MOST_AT_ONCE)
    tell(board, pictures, classes, resolved)
    change = own.augmentation(run, preprocessing)
    objective = MaskObjective(recipe, preprocessing, len(classes), run.gate_metric, pictures.train.targets, change)
    assessment = MaskAssessment(classes, run.gate_metric)
    return Prepared(
        classes, network, served, preprocessing, pictures, resolved, objective, assessment, compare=compare_maps
    )


def compare_maps(found: Scores, wanted: Scores) -> float:
    """Share of the pixels with another class; a probability may be rounded to the next of its 256 steps."""
    other = float((found[:, 0] != wanted[:, 0]).mean())
    steps = int(np.abs(found[:, 1].astype(np.int16) - wanted[:, 1])[found[:, 0] == wanted[:, 0]].max(initial=0))
    return max(other, (steps - 1) / CERTAIN)
