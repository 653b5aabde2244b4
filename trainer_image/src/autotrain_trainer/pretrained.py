"""Networks with weights of the hub: asked for again when the network or the hub failed for a moment."""

import logging
import threading
from collections.abc import Callable, Iterator

from torch import nn

log = logging.getLogger(__name__)

WAITS_SECONDS = (2.0, 5.0)
"""Before the second try, and before the third."""
PASSING_TYPES = frozenset({"ConnectionError", "TimeoutError", "Timeout", "TransportError"})
"""Of Python itself and of the HTTP clients that huggingface_hub has had."""
PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})


def created(make: Callable[[], nn.Module], waits: tuple[float, ...] = WAITS_SECONDS) -> nn.Module:
    """What `make` builds. Raises what it raises, after the last try or where trying again cannot help."""
    for seconds in waits:
        try:
            return make()
        except Exception as error:
            if not is_passing(error):
                raise
            log.warning("the hub does not answer; again in %.0f s: %s: %s", seconds, type(error).__name__, error)
        threading.Event().wait(seconds)
    return make()


def is_passing(error: BaseException) -> bool:
    """Whether a connection failed, or the hub said that it is busy or broken."""
    return any(
        not PASSING_TYPES.isdisjoint(base.__name__ for base in type(cause).__mro__)
        or getattr(getattr(cause, "response", None), "status_code", None) in PASSING_STATUSES
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """It, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
