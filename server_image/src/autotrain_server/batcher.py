"""Pictures of concurrent requests share passes through the engine.

An idle engine is never kept waiting: the first picture goes at once. While a pass runs, the next one waits for company,
until `max_batch` pictures are there or the oldest has waited for `max_delay` seconds.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from autotrain_server.admission import QueueFullError as QueueFullError
from autotrain_server.engine import Scores
from autotrain_server.metrics import Metrics
from autotrain_server.preprocess import Pixels


@dataclass(slots=True)
class Waiting:
    image: Pixels
    since: float
    future: "asyncio.Future[Scores]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Use within one event loop; `run` is called in threads of its own, up to `streams` at the same time."""

    def __init__(
        self,
        run: Callable[[Pixels], Scores],
        max_batch: int,
        queue_size: int,
        streams: int = 1,
        max_delay: float = 0.0,
        metrics: Metrics | None = None,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._queue_size = queue_size
        self._streams = streams
        self._max_delay = max_delay
        self._metrics = metrics or Metrics()
        self._waiting: deque[Waiting] = deque()
        self._threads = ThreadPoolExecutor(streams, thread_name_prefix="engine")
        self._workers: set[asyncio.Task[None]] = set()
        self._active = 0
        """Workers that will look at what waits once more."""
        self._running = 0
        """Passes in the engine."""
        self._enough = asyncio.Event()

    @property
    def depth(self) -> int:
        """Pictures that wait."""
        return len(self._waiting)

    async def scores(self, image: Pixels) -> Scores:
        """uint8 [height, width, 3] -> float32 [classes]. Raises QueueFullError. A cancelled picture is not computed."""
        if len(self._waiting) >= self._queue_size:
            raise QueueFullError
        item = Waiting(image, asyncio.get_running_loop().time())
        self._waiting.append(item)
        if len(self._waiting) >= self._max_batch:
            self._enough.set()
        if self._active < self._streams:
            self._active += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await item.future

    async def _work(self) -> None:
        """Passes until nothing waits; from then on, and not a moment later, the next picture starts another worker."""
        try:
            while self._waiting:
                await self._company()
                if batch := self._next_batch():
                    await self._pass(batch)
        finally:
            self._active -= 1

    async def _company(self) -> None:
        """While the engine is busy, wait a moment for more."""
        loop = asyncio.get_running_loop()
        left = self._waiting[0].since + self._max_delay - loop.time()
        if not self._running or left <= 0 or len(self._waiting) >= self._max_batch:
            return
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._enough.wait()

    def _next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            item = self._waiting.popleft()
            if not item.future.done():
                batch.append(item)
        return batch

    async def _pass(self, batch: list[Waiting]) -> None:
        """Run the engine on `batch`; an error belongs to the requests of this batch."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._running += 1
        try:
            images = np.stack([item.image for item in batch])
            scores = await loop.run_in_executor(self._threads, self._run, images)
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests are told
            for item in batch:
                if not item.future.done():
                    item.future.set_exception(error)
            return
        finally:
            self._running -= 1
        self._metrics.passed([begun - item.since for item in batch], loop.time() - begun)
        for item, row in zip(batch, scores, strict=True):
            if not item.future.done():
                item.future.set_result(row)
