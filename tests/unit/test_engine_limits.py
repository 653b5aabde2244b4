"""How many threads, passes and pictures an engine takes."""

from pathlib import Path

import numpy as np
import pytest

import onnx_bundle
from autotrain_server.engine import OpenVinoEngine, cpu_limit, pass_sizes, passes, read_graph


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({}, 8),
    ],
    ids=["one", "half", "none", "two and a half", "more than there are", "v1", "v1 none", "unreadable", "no cgroup"],
)
def test_threads_follow_the_container_s_limit_and_not_the_node(tmp_path: Path, monkeypatch, files, wanted):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert cpu_limit(tmp_path) == wanted


@pytest.mark.parametrize(("threads", "calls"), [(1, 2), (2, 2), (4, 2), (8, 3), (16, 5)])
def test_one_call_more_than_there_are_streams_keeps_the_processor_busy(threads, calls):
    assert OpenVinoEngine(onnx_bundle.convolutions(), threads=threads).streams == calls


@pytest.mark.parametrize(("count", "wanted"), [(1, [1]), (3, [2, 1]), (4, [4]), (7, [4, 2, 1]), (9, [4, 4, 1])])
def test_a_batch_is_run_in_passes_of_the_sizes_that_were_tried(count, wanted):
    images = np.arange(count * 3, dtype=np.uint8).reshape(count, 1, 1, 3)

    parts = list(passes(images, (1, 2, 4)))

    assert [len(part) for part in parts] == wanted
    np.testing.assert_array_equal(np.concatenate(parts), images)


def test_without_sizes_a_batch_is_one_pass():
    assert [len(part) for part in passes(np.zeros((9, 1, 1, 3), np.uint8), ())] == [9]


@pytest.mark.parametrize(("side", "sizes"), [(32, (1, 2, 4, 8, 16)), (224, (1, 2)), (256, (1,)), (640, (1,))])
def test_large_pictures_go_in_small_passes(side, sizes):
    graph = read_graph(onnx_bundle.convolutions())
    graph.reshape([-1, side, side, 3])

    assert pass_sizes(graph) == sizes
