"""Arrays in memory or in a file: the same values, and nothing is left behind."""

import errno
from types import SimpleNamespace

import numpy as np
import pytest

from autotrain_trainer import room as rooms
from autotrain_trainer.room import gathered, memory_limit, room


@pytest.mark.parametrize(("share", "kind"), [(0.0, np.memmap), (0.5, np.ndarray)], ids=["a file", "memory"])
def test_room_is_where_there_is_some(tmp_path, share, kind):
    found = room((3, 2), np.float32, share, tmp_path)
    found[:] = 7

    assert type(found) is kind
    assert found.dtype == np.float32
    assert (found == 7).all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["a file", "memory"])
def test_batches_come_together_in_their_order(share):
    batches = [np.arange(6, dtype=np.uint8).reshape(3, 2), np.arange(6, 8, dtype=np.uint8).reshape(1, 2)]

    found = gathered(batches, 4, share)

    assert found.dtype == np.uint8
    assert found.ravel().tolist() == list(range(8))


def test_a_disk_that_is_too_small_is_told_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(rooms.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    assert room((2**20,), np.uint8, 0.0, tmp_path).shape == (2**20,)
    with pytest.raises(OSError, match="are needed for pictures") as full:
        room((2**20 + 1,), np.uint8, 0.0, tmp_path)
    assert full.value.errno == errno.ENOSPC


@pytest.mark.parametrize("count", [0, 3])
def test_rows_that_are_missing_are_told(count):
    with pytest.raises(ValueError, match="rows where"):
        gathered([np.zeros((2, 1))] if count else [], count)


def test_there_is_memory():
    assert memory_limit() > 2**20
