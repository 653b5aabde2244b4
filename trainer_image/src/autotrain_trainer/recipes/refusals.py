"""What a spec may ask for and its task does not have, or cannot do: told before anything is downloaded."""

from autotrain_api.names import Reason, Stage
from autotrain_api.revision import Recipe
from autotrain_api.trainingjob import Task
from autotrain_trainer.failures import RunError
from autotrain_trainer.policy_text import OWN, check

LABELS: tuple[Task, ...] = ("Classification", "MultiLabelClassification")


def refuse_unfit(recipe: Recipe) -> None:
    """Raises RunError with INVALID_SPEC."""
    training, augmentation = recipe.training, recipe.augmentation
    named = f"augmentation.policy {augmentation.policy!r}"
    asked: dict[str, tuple[bool, tuple[Task, ...]]] = {
        "augmentation.mixup": (augmentation.mixup > 0, LABELS),
        "augmentation.cutmix": (augmentation.cutmix > 0, LABELS),
        named: (augmentation.policy not in OWN, LABELS),
        "training.labelSmoothing": (training.label_smoothing > 0, (*LABELS, "Segmentation")),
        "training.classWeights": (training.class_weights != "None", (*LABELS, "Segmentation")),
        "data.load": (recipe.data.load is not None, LABELS),
        "model.head": (recipe.model.head is not None, LABELS),
    }
    unfit = [
        f"{field} (for {', '.join(tasks)})"
        for field, (wanted, tasks) in asked.items()
        if wanted and recipe.task not in tasks
    ]
    if unfit:
        message = f"{recipe.task} does not take {', '.join(unfit)}; leave it out"
        raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, message)
    if augmentation.policy not in OWN:
        try:
            check(augmentation.policy)
        except ValueError as error:
            raise RunError(Stage.CONFIG, Reason.INVALID_SPEC, f"augmentation.policy: {error}") from error
