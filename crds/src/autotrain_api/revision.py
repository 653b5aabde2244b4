"""The revision of a spec: a digest of everything in it that changes the weights.

Same digest, same model: nothing is trained twice, and an earlier spec finds its bundle again.
Serving, compute, policy, gate and output never change it, nor does the recipe image.
"""

import hashlib
import json
from typing import Any

from autotrain_api.base import Api
from autotrain_api.trainingjob import (
    LAYOUTS,
    Augmentation,
    Data,
    Layout,
    Model,
    Preprocessing,
    Sha256,
    Spec,
    Task,
    Training,
)


class Recipe(Api):
    """The part of a spec that the trainer gets and the revision is made of."""

    task: Task
    data: Data
    model: Model
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    functions_sha256: Sha256 = ""
    """Digest of the job's own functions, when one of the fields above names one."""

    @property
    def layout(self) -> Layout:
        return self.data.layout or LAYOUTS[self.task][0]


def recipe_of(spec: Spec, functions_sha256: str = "") -> Recipe:
    """The training part of `spec`. The task's own layout is the same whether it is written out or not."""
    written_out = spec.data.layout == LAYOUTS[spec.task][0]
    return Recipe(
        task=spec.task,
        data=spec.data.model_copy(update={"layout": None}) if written_out else spec.data,
        model=spec.model,
        preprocessing=spec.preprocessing,
        augmentation=spec.augmentation,
        training=spec.training,
        functions_sha256=functions_sha256 if spec.training_functions() else "",
    )


def revision_of(recipe: Recipe) -> str:
    """`v1-` and ten hex characters of sha256 over canonical JSON: sorted keys, 1 = 1.0, absent = default = empty.

    `data.sha256` pins an archive without changing what is learned, so it does not count.
    """
    parts = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    parts["data"].pop("sha256", None)
    text = json.dumps(_canonical(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"v1-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _canonical(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [], "", None)}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
