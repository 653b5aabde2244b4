"""One model behind its decoders and its queue: bytes of pictures -> scores and answers. No HTTP here."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel

from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_server.admission import Admission
from autotrain_server.answers import Answer
from autotrain_server.batcher import Batcher
from autotrain_server.engine import Pictures, Scores, cpu_limit
from autotrain_server.metrics import Metrics
from autotrain_server.model import Model
from autotrain_server.predictor import Predictor
from autotrain_server.preprocess import BUDGET, Picture, upright
from autotrain_server.reading import BundleError
from autotrain_server.settings import Settings
from autotrain_server.tasks import Seen

DRAWN_QUALITY = 90
T = TypeVar("T")


class UnavailableError(Exception):
    """No answer from here now: HTTP 503."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Service:
    """What the routes share."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self.settings = settings
        self.model = model
        self.metrics = Metrics()
        self.admission = Admission(settings.queue_size, max(settings.max_bytes_waiting, settings.max_body_bytes))
        self.draining = False
        """Set on SIGTERM: not ready any more, but what is here is answered."""
        self._decoders = ThreadPoolExecutor(cpu_limit(), thread_name_prefix="decode")
        self._batcher: Batcher | None = None
        self.metrics.queue_depth.set_function(lambda: self._batcher.depth if self._batcher else 0)
        self.metrics.in_flight.set_function(lambda: self.admission.requests)
        self.metrics.ready.set_function(lambda: self.problem() is None)

    def problem(self) -> tuple[str, str, str] | None:
        """Why nothing is answered: reason, file, message; None when the model is verified and answers."""
        if self.model.error is not None:
            return self.model.error.reason, self.model.error.file, self.model.error.told()
        if self.model.predictor is None:
            return "Loading", "", "the model is being verified"
        if self.draining:
            return "Draining", "", "the server was asked to stop"
        return None

    def ready(self) -> Predictor:
        """The verified predictor. Raises UnavailableError."""
        predictor, error = self.model.predictor, self.model.error
        if error is not None:
            raise UnavailableError(error.reason, error.told())
        if predictor is None:
            raise UnavailableError("Loading", "the model is being verified")
        return predictor

    async def answers(self, pictures: Sequence[bytes]) -> list[Answer]:
        """Answers to pictures as they are sent, in order.

        Raises ImageError, QueueFullError, UnavailableError, FunctionError.
        """
        found, finish = await self._found(pictures), self.ready().finish
        if finish is None:
            return list(found)
        return await self._in_thread(lambda: [finish(answer.model_dump(mode="json")) for answer in found])

    async def _found(self, pictures: Sequence[bytes]) -> list[BaseModel]:
        """The task's own answers."""
        predictor = self.ready()
        seen = await self.look(pictures)
        found = await self.work(
            predictor, lambda: [predictor.answer(one, self.settings.postprocessing) for one in seen]
        )
        for answer in found:
            self.count(predictor.task.labels(answer))
        return found

    async def work(self, predictor: Predictor, make: Callable[[], T]) -> T:
        """What `make` makes of scores: here, or in a thread where it takes long."""
        if predictor.task.quick:
            return make()
        return await self._in_thread(make)

    async def _in_thread(self, make: Callable[[], T]) -> T:
        """What `make` makes, where decoders work, unless that takes too long. Raises UnavailableError."""
        async with self._in_time():
            return await asyncio.get_running_loop().run_in_executor(self._decoders, make)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raises UnavailableError when what is awaited in here takes too long; what has not begun is not done then."""
        seconds = self.settings.limits.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise UnavailableError("Timeout", f"no answer within {seconds} s; the server is busy") from error

    async def annotated(self, picture: bytes) -> bytes:
        """A JPEG of the picture with its answer drawn on it. Raises as `answers` does."""
        predictor = self.ready()
        [answer] = await self._found([picture])
        return await self._in_thread(lambda: self._draw(predictor, picture, answer))

    def _draw(self, predictor: Predictor, picture: bytes, answer: BaseModel) -> bytes:
        image = upright(picture, self.settings.limits.max_pixels)
        with BUDGET.take(image.width * image.height):
            file = io.BytesIO()
            predictor.task.draw(image, answer).save(file, "JPEG", quality=DRAWN_QUALITY)
        return file.getvalue()

    def count(self, labels: Sequence[str]) -> None:
        for label in labels:
            self.metrics.predictions.labels(label).inc()

    async def look(self, pictures: Sequence[bytes]) -> list[Seen]:
        """What the engine says of pictures, in order, as soon as it can be had. Raises as `answers` does."""
        predictor = self.ready()
        try:
            async with self._in_time(), asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._look_at(predictor, picture)) for picture in pictures]
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _look_at(self, predictor: Predictor, data: bytes) -> Seen:
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(self._decoders, self._read, predictor, data)
        return Seen(await self._queue(predictor).scores(picture.pixels), picture.width, picture.height)

    def _read(self, predictor: Predictor, data: bytes) -> Picture:
        begun = time.perf_counter()
        picture = predictor.read(data, self.settings.limits.max_pixels)
        self.metrics.decode_seconds.observe(time.perf_counter() - begun)
        return picture

    def _queue(self, predictor: Predictor) -> Batcher:
        """Made when the engine is known."""
        if self._batcher is None:
            batching = self.settings.batching
            self._batcher = Batcher(
                self._run,
                min(batching.max_size, max(predictor.engine.batch_sizes, default=batching.max_size)),
                self.settings.queue_size,
                predictor.engine.streams,
                batching.max_delay_milliseconds / 1000,
                self.metrics,
            )
        return self._batcher

    def _run(self, images: Pictures) -> Scores:
        """One pass. An engine that fails, at whatever, takes the model out of service. Raises UnavailableError."""
        predictor = self.ready()
        try:
            return predictor.scores(images)
        except Exception as error:
            problem = BundleError(Reason.CRASHED, bundle.MODEL, f"the engine failed: {error}")
            self.model.fail(problem)
            raise UnavailableError(problem.reason, problem.told()) from error
