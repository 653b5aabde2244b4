"""What spec.augmentation.policy may say, and which task may say it."""

import pytest

from autotrain_api.revision import Recipe
from autotrain_trainer.failures import RunError
from autotrain_trainer.policy_text import check
from autotrain_trainer.recipes.refusals import refuse_unfit


@pytest.mark.parametrize(
    "text",
    [
        "rand-m9-mstd0.5",
        "rand-m9-n3-mstd0.5-inc1",
        "rand-mstd1-tweights",
        "rand",
        "augmix-m5-w4-d2",
        "augmix",
        "original-mstd0.5",
        "originalr",
        "v0",
        "v0r-mstd0.5",
        "3a",
    ],
)
def test_what_timm_takes_is_taken(text):
    check(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rand-q9", "'q9' in 'rand-q9' is none of m<number>"),
        ("rand-m", "'m' in 'rand-m' is none of"),
        ("rand-m9.5", "takes a whole number"),
        ("rand-n0", "goes from 1 to 10"),
        ("rand-n999999", "goes from 1 to 10"),
        ("rand-tweights1", "none of"),
        ("augmix-n3", "'n3' in 'augmix-n3' is none of m<number>, w<number>"),
        ("original-m9", "is none of mstd<number>"),
        ("rand-m1.2.3", "is none of"),
    ],
)
def test_a_part_that_is_not_known_is_named(text, words):
    with pytest.raises(ValueError, match=words.replace("<", ".").replace(">", ".")):
        check(text)


def recipe(task: str, **fields: dict) -> Recipe:
    parts = {"task": task, "data": {"uri": "file:///d"}, "model": {"backbone": "resnet18"}}
    for section, values in fields.items():
        parts[section] = parts.get(section, {}) | values
    return Recipe.model_validate(parts)


@pytest.mark.parametrize(
    ("task", "section", "field", "value"),
    [
        ("ObjectDetection", "augmentation", "mixup", 0.5),
        ("Segmentation", "augmentation", "cutmix", 1),
        ("Segmentation", "augmentation", "policy", "rand-m9"),
        ("ObjectDetection", "augmentation", "policy", "3a"),
        ("ObjectDetection", "training", "labelSmoothing", 0.1),
        ("ObjectDetection", "training", "classWeights", "Balanced"),
    ],
)
def test_what_a_task_cannot_do_is_refused_by_name(task, section, field, value):
    with pytest.raises(RunError, match=rf"{task} does not take {section}\.{field}") as refused:
        refuse_unfit(recipe(task, **{section: {field: value}}))

    assert refused.value.exit_code == 65


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(RunError, match=r"augmentation\.mixup .*augmentation\.cutmix .*leave it out"):
        refuse_unfit(recipe("Segmentation", augmentation={"mixup": 1, "cutmix": 1}))


@pytest.mark.parametrize("task", ["Classification", "MultiLabelClassification"])
def test_tasks_with_labels_do_all_of_it(task):
    asked = {"policy": "rand-m9-mstd0.5", "mixup": 0.5, "cutmix": 0.5}
    refuse_unfit(recipe(task, augmentation=asked, training={"labelSmoothing": 0.1, "classWeights": "Balanced"}))


def test_a_policy_that_timm_does_not_know_is_the_user_s_error():
    with pytest.raises(RunError, match=r"augmentation\.policy: 'q9' in 'rand-q9'") as refused:
        refuse_unfit(recipe("Classification", augmentation={"policy": "rand-q9"}))

    assert refused.value.exit_code == 65
