"""Sets of labels: how the server tells them, and what they are worth."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_api.trainingjob import Postprocessing
from autotrain_server.tasks import Seen
from autotrain_server.tasks.multilabel import MultiLabel, sigmoid
from autotrain_trainer.label_set_measure import measure_sets, paired_sets, per_class, value_of, worst_sets

CLASSES = ["sky", "sea", "boat"]
WAY = ResolvedPreprocessing(height=8, width=8, resize="Squish", interpolation="Bilinear", mean=[0.5] * 3, std=[0.5] * 3)
TASK = MultiLabel(CLASSES, WAY, {})


def seen(*logits: float) -> Seen:
    return Seen(np.array(logits, np.float32), 100, 50)


def told(*logits: float, **settings: object) -> list[str]:
    return [one.label for one in TASK.answer(seen(*logits), Postprocessing(**settings)).predictions]


# --- answers


def test_every_class_from_one_half_up_is_predicted_the_likeliest_first():
    answer = TASK.answer(seen(0.0, -0.1, 2.0), Postprocessing(top_k=2))

    assert [(one.label, one.confidence) for one in answer.predictions] == [("boat", 0.880797), ("sky", 0.5)]
    assert [one.label for one in answer.top] == ["boat", "sky"]
    assert TASK.labels(answer) == ["boat", "sky"]


def test_no_label_is_an_answer_and_the_likeliest_classes_are_told_all_the_same():
    answer = TASK.answer(seen(-3.0, -2.0, -1.0), Postprocessing())

    assert answer.predictions == []
    assert [one.label for one in answer.top] == ["boat", "sea", "sky"]


@pytest.mark.parametrize(("threshold", "labels"), [(0.0, ["boat", "sky", "sea"]), (0.4, ["boat", "sky"]), (0.9, [])])
def test_the_score_threshold_decides(threshold, labels):
    assert told(-0.2, -5.0, 2.0, score_threshold=threshold) == labels


def test_labels_have_the_names_that_are_shown():
    assert told(-1, -1, 1, labels={"boat": "Boot"}) == ["Boot"]


@given(arrays.arrays(np.float32, 5, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_a_probability_is_one_for_any_logit(logits):
    found = sigmoid(logits)

    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found + sigmoid(-logits), 1)


def test_the_protocol_gets_labels_as_json_and_all_probabilities():
    shown = [seen(1, 0, -1), seen(-1, -1, -1)]
    outputs = TASK.outputs(shown, [TASK.answer(one, Postprocessing()) for one in shown])

    assert outputs["labels"][:2] == ("BYTES", [2])
    assert [json.loads(text) for text in outputs["labels"][2]] == [["sky", "sea"], []]
    assert outputs["scores"][1] == [2, 3]
    assert outputs["scores"][2][:2] == pytest.approx([0.731059, 0.5])


# --- metrics

TRUTH = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8)
LOGITS = np.array([[3, -1, -2], [2, 1, -2], [1, -2, 1], [-1, -3, -2]], np.float32)


def test_per_class_metrics_are_those_by_hand():
    found = per_class(LOGITS, TRUTH)

    assert found.average_precision[:2] == pytest.approx([(1 + 2 / 3) / 2, (1 + 2 / 3) / 2])
    assert found.precision == pytest.approx([2 / 3, 1, 0])
    assert found.recall[:2] == pytest.approx([1, 0.5])
    assert found.f1 == pytest.approx([0.8, 2 / 3, 0])
    assert found.support.tolist() == [2, 2, 0]
    assert np.isnan([found.average_precision[2], found.recall[2]]).all()


def test_the_mean_is_over_the_classes_that_occur():
    assert value_of("mAP", LOGITS, TRUTH) == pytest.approx(5 / 6)
    assert value_of("macroF1", LOGITS, TRUTH) == pytest.approx((0.8 + 2 / 3) / 3)
    assert value_of("mAP", LOGITS, np.zeros_like(TRUTH)) == 0


def test_equal_scores_are_one_threshold_so_that_their_order_does_not_matter():
    truth = np.array([[1], [0], [1], [0]], np.uint8)

    assert value_of("mAP", np.zeros((4, 1), np.float32), truth) == 0.5
    assert value_of("mAP", np.zeros((4, 1), np.float32), truth[::-1]) == 0.5


SETS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, (n, 3), elements=st.integers(-3, 3)),
        arrays.arrays(np.uint8, (n, 3), elements=st.integers(0, 1)),
    )
)


@given(SETS)
def test_metrics_are_shares_with_an_interval(pair):
    for metric in measure_sets(*pair, "macroF1"):
        assert 0 <= metric.low <= metric.high <= 1
        assert 0 <= metric.value <= 1


@given(SETS)
def test_a_model_differs_from_itself_by_nothing(pair):
    scores, truth = pair

    assert paired_sets("mAP", scores, scores, truth) == (0, 0, 0)


def test_the_gate_s_metric_comes_first():
    assert [metric.name for metric in measure_sets(LOGITS, TRUTH, "macroF1")] == ["macroF1", "mAP"]


def test_the_worst_classes_are_those_with_the_lowest_average_precision():
    truth = TRUTH.copy()
    truth[3, 1] = 1

    assert [found.name for found in worst_sets(per_class(LOGITS, truth), CLASSES)] == ["sea", "sky"]
