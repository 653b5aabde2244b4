"""Confidences that say how often they are right, and classes by their weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.tasks import Seen
from autotrain_server.tasks.classification import Classification, softmax
from autotrain_server.tasks.multilabel import MultiLabel
from autotrain_trainer.balance import balanced, balanced_pairs
from autotrain_trainer.calibration import bins_of, temperature_of
from autotrain_trainer.labels import nll_of

WAY = ResolvedPreprocessing(height=8, width=8, resize="Squish", interpolation="Bilinear", mean=[0.5] * 3, std=[0.5] * 3)
LOGITS = arrays.arrays(np.float32, 4, elements=st.floats(-50, 50, width=32))


def scored(temperature: float, count: int = 5_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by `temperature`, and labels drawn from what they should have been."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (count, 4))
    labels = np.array([random.choice(4, p=row) for row in softmax(logits)])
    return (logits * temperature).astype(np.float32), labels


def temperature_for(scores: np.ndarray, labels: np.ndarray) -> float:
    return temperature_of(lambda value: float(nll_of(scores / value, labels).sum()))


@pytest.mark.parametrize("wrong_by", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_confidences_wrong(wrong_by):
    scores, labels = scored(wrong_by)

    found = temperature_for(scores, labels)

    assert found == pytest.approx(wrong_by, rel=0.05)
    right = scores.argmax(axis=1) == labels
    assert bins_of(softmax(scores / found).max(axis=1), right).error < 0.03


def test_a_few_pictures_without_a_mistake_do_not_make_a_model_certain():
    scores = np.eye(4, dtype=np.float32)[np.arange(12) % 4] * 3

    assert 0.6 < temperature_for(scores, np.arange(12) % 4) < 1


def test_the_calibration_error_is_that_by_hand():
    bins = bins_of(np.array([0.95, 0.95, 0.55, 1.0, 0.0]), np.array([True, False, True, True, False]))

    assert bins.statements.sum() == 5
    assert bins.error == pytest.approx((3 * abs(2.9 / 3 - 2 / 3) + abs(0.55 - 1) + 0) / 5)


@given(LOGITS, st.floats(0.05, 20))
def test_no_temperature_changes_the_order_of_classes(logits, temperature):
    names = ["a", "b", "c", "d"]
    seen, shown = Seen(logits, 8, 8), Postprocessing(top_k=4)
    plain, warm = Classification(names, WAY, {}), Classification(names, WAY, {"temperature": temperature})

    before, after = plain.answer(seen, shown), warm.answer(seen, shown)

    assert [one.label for one in before.top] == [one.label for one in after.top]


@given(LOGITS, st.floats(0.05, 20))
def test_no_temperature_changes_which_labels_reach_one_half(logits, temperature):
    names = ["a", "b", "c", "d"]
    seen, shown = Seen(logits, 8, 8), Postprocessing()
    plain, warm = MultiLabel(names, WAY, {}), MultiLabel(names, WAY, {"temperature": temperature})

    assert plain.labels(plain.answer(seen, shown)) == warm.labels(warm.answer(seen, shown))


def test_confidences_are_those_at_the_temperature_everywhere():
    task = Classification(["a", "b"], WAY, {"temperature": 2.0})
    seen = Seen(np.array([2.0, 0.0], np.float32), 8, 8)

    answer = task.answer(seen, Postprocessing())
    outputs = task.outputs([seen], [answer])

    assert answer.confidence == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert outputs["scores"][2] == pytest.approx([answer.confidence, 1 - answer.confidence], abs=1e-6)


# --- class weights


def test_balanced_classes_weigh_as_in_scikit_learn():
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.repeat([0, 1, 3], [70, 20, 10])

    weights = balanced(np.bincount(labels, minlength=4))

    wanted = sklearn.compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(weights[[0, 1, 3]], wanted, rtol=1e-6)
    assert weights[2] == 0


@given(arrays.arrays(np.int64, 5, elements=st.integers(0, 1_000)))
def test_the_mean_weight_of_all_samples_is_one(counts):
    if counts.any():
        assert (balanced(counts) * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-5)


def test_a_label_weighs_as_much_as_its_absence():
    truth = np.array([[1, 0], [0, 0], [0, 0], [0, 0]], np.uint8)

    absent, present = balanced_pairs(truth)

    assert (absent[0], present[0]) == pytest.approx((4 / (2 * 3), 2))
    assert (absent[1], present[1]) == (1, 0)
