import asyncio
import threading

import numpy as np
import pytest

from autotrain_server.batcher import Batcher, QueueFullError


def picture(value: int) -> np.ndarray:
    return np.full((1, 1, 3), value, np.uint8)


class Engine:
    """Gives each picture its own value; notes the batches; waits for `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.began = threading.Event()
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        self.began.set()
        assert self.open.wait(10)
        return images[:, 0, 0].astype(np.float32)


async def begin(engine: Engine, batcher: Batcher, count: int) -> list[asyncio.Task]:
    """One picture in the engine and `count` behind it."""
    first = asyncio.create_task(batcher.scores(picture(0)))
    await asyncio.to_thread(engine.began.wait)
    rest = [asyncio.create_task(batcher.scores(picture(value))) for value in range(1, count + 1)]
    await asyncio.sleep(0)
    return [first, *rest]


async def test_what_waits_behind_a_running_pass_shares_the_next_ones():
    engine = Engine()
    tasks = await begin(engine, Batcher(engine, max_batch=4, queue_size=100), 6)

    engine.open.set()

    assert [int(row[0]) for row in await asyncio.gather(*tasks)] == list(range(7))
    assert engine.batches == [1, 4, 2]


async def test_more_than_may_wait_is_refused():
    engine = Engine()
    batcher = Batcher(engine, max_batch=4, queue_size=2)
    tasks = await begin(engine, batcher, 2)

    with pytest.raises(QueueFullError):
        await batcher.scores(picture(9))

    engine.open.set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_picture_is_not_computed():
    engine = Engine()
    tasks = await begin(engine, Batcher(engine, max_batch=4, queue_size=10), 3)

    tasks[2].cancel()
    await asyncio.sleep(0)
    engine.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert engine.batches == [1, 2]


async def test_an_error_reaches_its_batch_and_the_next_one_works():
    failing = True

    def run(images: np.ndarray) -> np.ndarray:
        if failing:
            raise ValueError("broken")
        return images[:, 0, 0].astype(np.float32)

    batcher = Batcher(run, max_batch=4, queue_size=10)
    with pytest.raises(ValueError, match="broken"):
        await batcher.scores(picture(1))
    failing = False

    assert int((await batcher.scores(picture(7)))[0]) == 7
