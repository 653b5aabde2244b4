import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrain_trainer.measure import confusion, macro_f1, measure, wilson, worst_classes

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    predicted, targets = np.array(pairs, np.int64).T
    return predicted, targets


@given(LABELS)
def test_metrics_are_shares_inside_of_their_intervals(pairs):
    for metric in measure(*arrays(pairs), 4, "macroF1"):
        assert 0 <= metric.low <= metric.high <= 1
        assert 0 <= metric.value <= 1
        assert metric.samples == len(pairs)


def test_the_gate_s_metric_comes_first():
    predicted, targets = arrays([(0, 0), (1, 1)])

    assert [metric.name for metric in measure(predicted, targets, 2, "macroF1")] == ["macroF1", "accuracy"]


def test_macro_f1_is_the_mean_over_classes_that_occur():
    predicted, targets = arrays([(0, 0), (0, 0), (0, 1), (1, 1)])

    assert macro_f1(confusion(predicted, targets, 3)) == pytest.approx((0.8 + 2 / 3) / 2)


def test_wilson_s_interval_is_the_published_one():
    assert wilson(0.9, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_perfect_share_has_an_interval_too(share):
    low, high = wilson(share, 10)

    assert high - low == pytest.approx(0.2775, abs=1e-3)


def test_the_worst_classes_are_those_with_the_lowest_recall():
    predicted, targets = arrays([(0, 0), (0, 1), (1, 1), (0, 2)])

    worst = worst_classes(confusion(predicted, targets, 4), ["a", "b", "c", "never"])

    assert [(item.name, item.value) for item in worst] == [("c", 0.0), ("b", 0.5), ("a", 1.0)]
