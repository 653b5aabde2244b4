"""Keys of objects that want a look: each at most once in the queue, each in one worker's hands at a time."""

import asyncio

Key = tuple[str, str]
"""(namespace, name) of a TrainingJob."""

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0


class WorkQueue:
    """As the work queues of Kubernetes' own controllers. Not thread-safe; everything is on one event loop."""

    def __init__(self) -> None:
        self._ready: dict[Key, None] = {}
        self._worked: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._errors: dict[Key, int] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._ready) + len(self._worked)

    def add(self, key: Key) -> None:
        """Ask for a look now; while one is under way, for another one after it."""
        self._cancel(key)
        if key in self._worked:
            self._again.add(key)
        else:
            self._ready[key] = None
            self._news.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a look in a while; the earlier one wins where two are asked for."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel(key)
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> Key:
        """The key that has waited longest, once there is one. Every take needs a `done` or a `failed`."""
        while not self._ready:
            self._news.clear()
            await self._news.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._worked.add(key)
        return key

    def done(self, key: Key, again_after: float | None) -> None:
        """The look is over."""
        self._errors.pop(key, None)
        self._release(key, again_after)

    def failed(self, key: Key) -> float:
        """The look ended in an error: again later, twice as long each time. Returns the seconds."""
        count = self._errors[key] = self._errors.get(key, 0) + 1
        seconds = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(count - 1, 10), LONGEST_BACKOFF_SECONDS)
        self._again.discard(key)
        self._release(key, seconds)
        return seconds

    def _release(self, key: Key, again_after: float | None) -> None:
        self._worked.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif again_after is not None:
            self.add_after(key, again_after)
