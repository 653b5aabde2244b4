"""Trying again, with longer and longer waits: what the network is asked for."""

import threading
from collections.abc import Callable
from typing import TypeVar

from autotrain_trainer.failures import VOLUME_ERRORS

Answer = TypeVar("Answer")

LONGEST_WAIT_SECONDS = 60.0
PROGRESS = 1 << 20
"""Bytes that an attempt has to get further, to be no failure."""


class GaveUpError(Exception):
    """After the last attempt; the cause is what went wrong in it."""


def retry(
    step: Callable[[], Answer],
    attempts: int,
    first_wait: float,
    again: Callable[[Exception], None],
    final: tuple[type[Exception], ...],
    progress: Callable[[], int] = lambda: 0,
) -> Answer:
    """What `step` returns; tried until it does, or until so many `attempts` in a row got no further.

    `again` is told before each wait; the first one is `first_wait` seconds, the next ones twice as long each.
    `progress` counts bytes. Exceptions of `final`, and what is wrong with the disk, end it at once. Raises GaveUpError.
    """
    failed, best = 0, progress()
    while True:
        try:
            return step()
        except final:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in VOLUME_ERRORS:
                raise
            last = error
        failed = 1 if progress() - best >= PROGRESS else failed + 1
        best = max(best, progress())
        if failed >= attempts:
            raise GaveUpError(f"gave up after {attempts} attempts: {type(last).__name__}: {last}") from last
        again(last)
        threading.Event().wait(min(first_wait * 2 ** (failed - 1), LONGEST_WAIT_SECONDS))
