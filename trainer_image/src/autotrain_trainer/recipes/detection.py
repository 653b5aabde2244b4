"""ObjectDetection: boxes with labels. Read it from top to bottom; every step is one call.

data -> model -> export once, untrained -> pixels; then running.py: fit -> measure and bundle
"""

import math
from functools import partial
from pathlib import Path

from autotrain_api.run import RunConfig
from autotrain_api.trainingjob import Training
from autotrain_trainer.box_assessment import BoxAssessment
from autotrain_trainer.box_objective import BoxObjective
from autotrain_trainer.data.box_tables import box_table
from autotrain_trainer.data.boxes import BoxTargets, Checked, box_classes, check_boxes, small_boxes
from autotrain_trainer.data.cache import open_data
from autotrain_trainer.data.coco import coco
from autotrain_trainer.data.layouts import descend
from autotrain_trainer.data.pictures import load_pictures
from autotrain_trainer.data.voc import voc
from autotrain_trainer.models.detector import build
from autotrain_trainer.own_functions import open_functions
from autotrain_trainer.prepared import Prepared
from autotrain_trainer.progress import ProgressBoard
from autotrain_trainer.recipes.running import resolve, seed_everything, tell, try_serving

READERS = {"Coco": coco, "Voc": voc, "Csv": box_table}
MOST_AT_ONCE = 16
"""A batch size that is found is never larger: a picture of boxes teaches as much as many labels do."""
LEARNING_RATE = 0.002
"""Of AdamW for a batch of MOST_AT_ONCE. The range test is too careful with these losses: resnet18 from scratch on pasted
clothes had an mAP50 of 0.77 after ten epochs at this rate, and of 0.72 at the 0.0005 that the range test chose."""


def prepare(run: RunConfig, board: ProgressBoard, work: Path) -> Prepared:
    """Everything before the first step. Raises RunError."""
    recipe, own = run.recipe, open_functions(run)
    # --- data
    board.say("opening data", percent=0)
    folder = open_data(run, work, board.say)
    parts = READERS[recipe.layout](descend(folder, recipe.data), recipe.data)
    classes = box_classes([*parts.train, *parts.validation, *parts.test], recipe.data)
    # --- model
    board.say(f"building {recipe.model.backbone}", percent=1)
    seed_everything(recipe.training.seed)
    network, preprocessing = build(run, len(classes), work, board.say)
    # --- what cannot be served fails here
    board.say("trying the export", percent=2)
    try_serving(run, classes, network, preprocessing, work)
    # --- pixels
    board.say("reading pictures", percent=3)
    read: list[Checked] = []
    pictures = load_pictures(
        parts,
        recipe.data,
        preprocessing,
        work,
        board.say,
        partial(BoxTargets, classes, read),
        own.change(preprocessing),
    )
    say_boxes(board, read)
    if small := small_boxes(pictures.train.targets, pictures.train.pixels.shape[1], preprocessing):
        board.say(small)
    resolved = resolve(run, network, preprocessing, len(pictures.train), MOST_AT_ONCE)
    resolved.learning_rate = resolved.learning_rate or learning_rate_for(recipe.training, resolved.batch_size)
    tell(board, pictures, classes, resolved)
    objective = BoxObjective(recipe, preprocessing, run.gate_metric, own.augmentation(run, preprocessing))
    assessment = BoxAssessment(classes, preprocessing, run.gate_metric)
    return Prepared(classes, network, network, preprocessing, pictures, resolved, objective, assessment)


def learning_rate_for(training: Training, batch_size: int) -> float | None:
    """AdamW's, whose steps grow with the root of the batch; that of another optimizer is found."""
    if training.optimizer != "AdamW":
        return None
    return float(f"{LEARNING_RATE * math.sqrt(batch_size / MOST_AT_ONCE):.3g}")


def say_boxes(board: ProgressBoard, read: list[Checked]) -> None:
    """Raises RunError when too many boxes cannot be right."""
    clipped, wrong = check_boxes(read)
    if clipped:
        board.say(f"{clipped} boxes reach beyond their pictures and are cut off at the edge")
    if wrong:
        board.say(f"{len(wrong)} boxes cannot be right and are left out: {'; '.join(wrong)}")
