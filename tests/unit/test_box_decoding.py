import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrain_server.tasks.boxes import (
    BOX,
    MOST_BOXES,
    Boxes,
    certainties,
    decode,
    ious,
    level_sizes,
    locations,
    paired_ious,
    suppress,
)

SIZE = 64
CLASSES = 3


def rows(**strong: tuple[int, list[float], int]) -> np.ndarray:
    """Rows of an empty picture but for some: name -> (location, distances in strides, class)."""
    count = len(locations(SIZE, SIZE)[0])
    found = np.full((count, BOX + 1 + CLASSES), -8, np.float32)
    for place, distances, label in strong.values():
        found[place, :BOX] = distances
        found[place, [BOX, BOX + 1 + label]] = 4
    return found


def boxes(*corners: list[float], labels: list[int] | None = None) -> Boxes:
    return Boxes(
        np.array(corners, np.float32).reshape(-1, 4),
        np.ones(len(corners), np.float32),
        np.array(labels or [0] * len(corners), np.int64),
    )


def test_levels_cover_an_input_of_any_size_that_is_a_multiple_of_32() -> None:
    assert level_sizes(64, 96) == [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]


def test_locations_are_the_centres_of_their_cells_row_by_row() -> None:
    points, strides = locations(SIZE, SIZE)

    assert points[:2].tolist() == [[4, 4], [12, 4]]
    assert points[64].tolist() == [8, 8]
    assert strides[[0, 63, 64, -1]].tolist() == [8, 8, 16, 128]


def test_a_row_becomes_a_box_around_its_location() -> None:
    found = decode(rows(one=(9, [1, 1, 2, 3], 2)), SIZE, SIZE, 0.3, 0.5)  # location 9 is (12, 12) of stride 8

    assert found.corners.tolist() == [[4, 4, 28, 36]]
    assert found.labels.tolist() == [2]
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-4)))


def test_of_two_boxes_of_a_class_on_one_another_the_more_certain_stays() -> None:
    scores = rows(one=(9, [1, 1, 2, 2], 1), other=(10, [2, 1, 1, 2], 1))
    scores[10, BOX] = 5

    found = decode(scores, SIZE, SIZE, 0.3, 0.5)

    assert found.corners.tolist() == [[4, 4, 28, 28]]
    assert found.scores[0] > 1 / (1 + np.exp(-4))


def test_boxes_of_two_classes_on_one_another_both_stay() -> None:
    found = decode(rows(one=(9, [1, 1, 2, 2], 1), other=(10, [2, 1, 1, 2], 0)), SIZE, SIZE, 0.3, 0.5)

    assert sorted(found.labels.tolist()) == [0, 1]


def test_an_empty_picture_has_no_boxes() -> None:
    found = decode(rows(), SIZE, SIZE, 0.3, 0.5)

    assert found.corners.shape == (0, 4)


def test_extreme_logits_are_certain_or_impossible() -> None:
    scores = np.array([[0, 0, 0, 0, 1e6, 1e6, -1e6]], np.float32)

    assert certainties(scores).tolist() == [[1, 0]]


def test_there_are_at_most_so_many_boxes() -> None:
    corners = np.array([[10 * i, 0, 10 * i + 5, 5] for i in range(400)], np.float32)

    assert len(suppress(corners, np.zeros(400, np.int64), 0.5)) == MOST_BOXES


def test_boxes_without_area_overlap_nothing() -> None:
    assert ious(np.zeros(4, np.float32), np.zeros((2, 4), np.float32)).tolist() == [0, 0]


corner = st.integers(0, 40).map(float)
box = st.tuples(corner, corner, st.integers(1, 30), st.integers(1, 30)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@given(st.lists(st.tuples(box, st.integers(0, 1)), max_size=12), st.floats(0.1, 0.9))
def test_suppression_keeps_what_no_better_box_of_its_class_covers(
    found: list[tuple[list[float], int]], most: float
) -> None:
    corners = np.array([one for one, _ in found], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label in found], np.int64)

    kept = set(suppress(corners, labels, most).tolist())

    for position in range(len(found)):
        better = [other for other in kept if other < position and labels[other] == labels[position]]
        covered = bool(better) and bool((ious(corners[position], corners[better]) > most).any())
        assert (position in kept) == (not covered)


def test_the_same_boxes_in_another_order_are_paired_whole() -> None:
    one, other = boxes([0, 0, 10, 10], [20, 20, 30, 30]), boxes([20, 20, 30, 30], [0, 0, 10, 10])

    assert paired_ious(one, other) == pytest.approx(2)


def test_a_box_is_paired_once_and_only_with_its_class() -> None:
    assert paired_ious(boxes([0, 0, 10, 10], [0, 0, 10, 10]), boxes([0, 0, 10, 10])) == pytest.approx(1)
    assert paired_ious(boxes([0, 0, 10, 10], labels=[1]), boxes([0, 0, 10, 10], labels=[2])) == 0
