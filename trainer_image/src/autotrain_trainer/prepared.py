"""What a recipe has decided before the first step; training and bundling need no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_trainer.assessment import Assessment, Calibrate, Scored
from autotrain_trainer.data.pictures import PictureSet
from autotrain_trainer.export import Compare, largest_difference
from autotrain_trainer.model import Trainable
from autotrain_trainer.objective import Objective
from autotrain_trainer.resolved import Resolved


def no_calibration(validation: Scored, published: Scored) -> dict[str, Any]:
    """For tasks whose scores have no temperature."""
    return {}


@dataclass
class Prepared:
    classes: Sequence[str]
    network: Trainable
    """What is trained."""
    served: nn.Module
    """What is exported: `network` itself, or what turns its scores into those of the bundle."""
    preprocessing: ResolvedPreprocessing
    pictures: PictureSet
    resolved: Resolved
    objective: Objective
    assessment: Assessment
    calibrate: Calibrate = no_calibration
    """Called once, before the report is written."""
    compare: Compare = largest_difference
    """How far exported scores are from torch's."""
