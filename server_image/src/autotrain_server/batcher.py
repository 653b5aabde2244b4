"""Pictures of concurrent requests share a pass through the engine.

The engine is never kept waiting: it takes what is there, one picture when the server is idle, up to `max_batch` when
requests pile up behind a running pass. Nothing is delayed to fill a batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from autotrain_server.engine import Scores
from autotrain_server.preprocess import Pixels


class QueueFullError(Exception):
    """As many pictures wait as may wait."""


class Batcher:
    """Use within one event loop; `run` is called in a thread of its own."""

    def __init__(self, run: Callable[[Pixels], Scores], max_batch: int, queue_size: int) -> None:
        self._run = run
        self._max_batch = max_batch
        self._queue_size = queue_size
        self._waiting: deque[tuple[Pixels, asyncio.Future[Scores]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._worker: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Pictures that wait."""
        return len(self._waiting)

    async def scores(self, image: Pixels) -> Scores:
        """uint8 [height, width, 3] -> float32 [classes]. Raises QueueFullError. A cancelled picture is not computed."""
        if len(self._waiting) >= self._queue_size:
            raise QueueFullError
        future: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append((image, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            images = np.stack([image for image, _ in batch])
            try:
                scores = await loop.run_in_executor(self._thread, self._run, images)
            except Exception as error:  # noqa: BLE001 - it belongs to the requests of this batch
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(batch, scores, strict=True):
                if not future.done():
                    future.set_result(row)

    def _next_batch(self) -> list[tuple[Pixels, asyncio.Future[Scores]]]:
        batch: list[tuple[Pixels, asyncio.Future[Scores]]] = []
        while self._waiting and len(batch) < self._max_batch:
            image, future = self._waiting.popleft()
            if not future.done():
                batch.append((image, future))
        return batch
