"""The arithmetic of `make bench-serving`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.serving.bars import bars
from benchmarks.serving.figures import allowed, odd_ones, percentile, ratios, summary
from benchmarks.serving.lineup import LINEUP, chosen_settings, not_searched
from benchmarks.serving.measuring import turned


def test_a_percentile_is_one_of_the_figures():
    figures = [float(number) for number in range(1, 101)]

    assert percentile(figures, 0.5) in (50, 51)
    assert percentile(figures, 0.99) in (99, 100)
    assert percentile([7.0], 0.99) == 7


def test_a_summary_is_median_lowest_and_highest():
    found = summary([3.0, 1.0, 2.0])

    assert found is not None
    assert tuple(found) == (2, 1, 3)
    assert summary([]) is None


def test_two_limits_allow_less_than_each():
    assert allowed(100, 100) == pytest.approx(50)


def test_ratios_are_taken_within_a_round():
    found = ratios([4.0, 9.0], [2.0, 3.0])

    assert found is not None
    assert tuple(found) == (2.5, 2, 3)


def test_who_answers_otherwise_is_found():
    assert odd_ones({"a": ["x", "y"], "b": ["x", "y"], "c": ["x", "z"]}) == {"c": [1]}


def test_another_one_begins_each_time_and_all_take_part_in_every_round():
    rounds = [turned(LINEUP, number) for number in range(5)]

    assert len({one[0].name for one in rounds}) == 5
    assert all({entry.name for entry in one} == {entry.name for entry in LINEUP} for one in rounds)


def test_every_peer_has_settings_of_its_own_axes():
    chosen = chosen_settings()

    for competitor in LINEUP:
        if competitor.axes:
            assert chosen[competitor.name] in list(competitor.settings())


def test_settings_that_nobody_searched_are_named(tmp_path: Path):
    settings = tmp_path / "settings.json"
    settings.write_text('{"seed": {"chosen": {}}, "noop": {"chosen": {}, "tried": [{"workers": 1, "rate": 9.0}]}}')

    assert not_searched(settings) == ["seed"]


def life(rate: float) -> dict[str, object]:
    levels = {level: {"rate": rate, "p50": 10.0, "p99": 20.0} for level in ("1", "8", "32")}
    return {"levels": levels, "first": 1.0, "memory": 200.0}


def test_bars_are_met_and_missed_by_the_figures():
    one = {
        "server": life(90.0),
        "seed": life(10.0),
        "litserve-torch": life(30.0),
        "litserve-openvino": life(40.0),
        "noop": life(1_000.0),
        "limit": {"throughput": 100.0, "alone": 9.0},
    }
    found = {bar.name: bar for bar in bars([one], {"naive": 100.0, "server": 20.0}, bfloat16=True)}

    assert found["requests/s at 8, server / seed"].met
    assert not found["requests/s at 8, server / litserve-torch"].met
    assert found["requests/s at 8, server / what limit and noop allow"].met
    assert found["12-megapixel JPEG, naive decode / server's"].met
