"""Which of two engines gets a call."""

import threading

import numpy as np
import pytest

from autotrain_server.engine import ElasticEngine, narrow_streams, wide_streams


class Named:
    """An engine that says who answered, once it may."""

    name, precision, streams, batch_sizes = "named", "BFloat16", 2, (1, 2)

    def __init__(self, number: int) -> None:
        self.number = number
        self.entered, self.may_answer = threading.Semaphore(0), threading.Event()

    def scores(self, images: np.ndarray) -> np.ndarray:
        self.entered.release()
        self.may_answer.wait(10)
        return np.full((len(images), 1), self.number, np.float32)


class Broken(Named):
    def scores(self, images: np.ndarray) -> np.ndarray:
        raise RuntimeError("no")


PICTURE = np.zeros((1, 2, 2, 3), np.uint8)
WIDE, NARROW = 1, 2


def engines() -> tuple[ElasticEngine, Named, Named]:
    wide, narrow = Named(WIDE), Named(NARROW)
    return ElasticEngine(wide, 3), wide, narrow


def call(engine: ElasticEngine, found: list[float]) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(float(engine.scores(PICTURE)[0, 0])))
    thread.start()
    return thread


def test_a_call_alone_is_wide_and_one_beside_it_narrow():
    engine, wide, narrow = engines()
    engine.narrow = narrow
    first, second = [], []

    threads = [call(engine, first)]
    assert wide.entered.acquire(timeout=10)
    threads.append(call(engine, second))
    assert narrow.entered.acquire(timeout=10)
    wide.may_answer.set()
    narrow.may_answer.set()
    for thread in threads:
        thread.join()

    assert (first, second) == ([WIDE], [NARROW])
    assert engine.scores(PICTURE)[0, 0] == WIDE


def test_everything_is_wide_until_the_other_one_is_verified():
    engine, wide, _ = engines()
    found: list[float] = []

    threads = [call(engine, found) for _ in range(3)]
    assert all(wide.entered.acquire(timeout=10) for _ in threads)
    wide.may_answer.set()
    for thread in threads:
        thread.join()

    assert found == [WIDE] * 3


def test_a_call_that_fails_is_not_counted_on():
    broken, narrow = Broken(WIDE), Named(NARROW)
    engine = ElasticEngine(broken, 3)
    engine.narrow = narrow
    for _ in range(3):
        with pytest.raises(RuntimeError):
            engine.scores(PICTURE)


@pytest.mark.parametrize(("threads", "wide", "narrow"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (8, 2, 8), (32, 8, 8)])
def test_streams_follow_the_threads(threads, wide, narrow):
    assert (wide_streams(threads), narrow_streams(threads)) == (wide, narrow)
