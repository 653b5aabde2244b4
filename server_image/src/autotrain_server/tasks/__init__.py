"""What a task makes of an engine's scores: answers, tensors, drawings, and the comparison of golden scores.

One module per task; no engine and no HTTP here. `task_of` is the door.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from autotrain_api.bundle import Manifest, ResolvedPreprocessing
from autotrain_server.tasks import classification, detection, multilabel, segmentation
from autotrain_server.tasks.base import Scores as Scores
from autotrain_server.tasks.base import Seen as Seen
from autotrain_server.tasks.base import Task as Task
from autotrain_server.tasks.base import Tensor as Tensor
from autotrain_server.tasks.classification import Classification, ClassificationAnswer
from autotrain_server.tasks.detection import Detection, DetectionAnswer
from autotrain_server.tasks.multilabel import MultiLabel, MultiLabelAnswer
from autotrain_server.tasks.segmentation import Segmentation, SegmentationAnswer

Made = Callable[[Sequence[str], ResolvedPreprocessing, dict[str, Any]], Task]
TASKS: dict[str, Made] = {
    "Classification": Classification,
    "MultiLabelClassification": MultiLabel,
    "ObjectDetection": Detection,
    "Segmentation": Segmentation,
}
PATHS = {
    "Classification": classification.PATH,
    "MultiLabelClassification": multilabel.PATH,
    "ObjectDetection": detection.PATH,
    "Segmentation": segmentation.PATH,
}
"""Where a task answers, besides /validate."""
BODIES: dict[str, type[BaseModel]] = {
    "Classification": ClassificationAnswer,
    "MultiLabelClassification": MultiLabelAnswer,
    "ObjectDetection": DetectionAnswer,
    "Segmentation": SegmentationAnswer,
}
"""The form of its answers."""


def task_of(manifest: Manifest) -> Task:
    """What reads the scores of this bundle's model."""
    return TASKS[manifest.task](manifest.classes, manifest.preprocessing, manifest.resolved)


def body_of(names: Sequence[str]) -> Any:
    """The type of what /validate sends for these tasks: one answer, or a list of them."""
    one = functools.reduce(operator.or_, (BODIES[name] for name in names))
    return one | list[one]  # type: ignore[valid-type]
