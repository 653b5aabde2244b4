"""What may be inside of the server at once: requests and their bytes, counted from the moment a request arrives."""

from collections.abc import Iterator
from contextlib import contextmanager


class QueueFullError(Exception):
    """As much waits as may wait."""


class Admission:
    """Use within one event loop. What is not let in has cost no memory and no processor."""

    def __init__(self, requests: int, size: int) -> None:
        self._most_requests = requests
        self._most_bytes = size
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def enter(self, size: int) -> Iterator[None]:
        """Let a request with a body of at most `size` bytes in, or raise QueueFullError. One is let in whatever its size."""
        if self.requests >= self._most_requests or (self.requests and self.bytes + size > self._most_bytes):
            raise QueueFullError
        self.requests += 1
        self.bytes += size
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= size
