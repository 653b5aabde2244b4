"""What a recipe has decided before the first step; training and bundling need no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_trainer.assessment import Assessment
from autotrain_trainer.data.pictures import PictureSet
from autotrain_trainer.export import Compare, largest_difference
from autotrain_trainer.model import Trainable
from autotrain_trainer.objective import Objective
from autotrain_trainer.resolved import Resolved


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
    compare: Compare = largest_difference
    """How far exported scores are from torch's."""
