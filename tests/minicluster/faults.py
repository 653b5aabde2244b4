"""What goes wrong between a client and the API, on demand: the double is otherwise too quick and too consistent."""

import asyncio
from dataclasses import dataclass

from minicluster.calls import Call
from minicluster.errors import ApiError


@dataclass(eq=False)
class Fault:
    """Which requests are met, how often, and what happens to them."""

    verbs: tuple[str, ...] = ()
    """As RBAC names them ("get", "watch", "create" ...); none stands for all."""
    resource: str = ""
    """As RBAC names it ("jobs", "trainingjobs/status"); none stands for all."""
    name: str = ""
    skip: int = 0
    """How many matching requests pass unharmed first."""
    times: int | None = None
    """How many requests are met; None: until removed."""
    delay_seconds: float = 0.0
    error: ApiError | None = None
    """Answered instead of doing anything; see `conflict`, `too_many_requests`, `gone` and `internal`."""
    lose_answer: bool = False
    """The request is carried out, but the connection breaks before the answer."""
    drop_watch_after: int | None = None
    """A watch breaks after that many events."""
    watch_delay_seconds: float = 0.0
    """Each event of a watch arrives that much later: stale caches."""
    met: int = 0

    def matches(self, call: Call) -> bool:
        return (
            (not self.verbs or call.verb in self.verbs)
            and self.resource in ("", call.resource)
            and self.name in ("", call.name)
        )


def conflict() -> ApiError:
    return ApiError(409, "Conflict", "Operation cannot be fulfilled: the object has been modified (injected)")


def gone() -> ApiError:
    return ApiError(410, "Expired", "too old resource version (injected)")


def too_many_requests(retry_after_seconds: int = 1) -> ApiError:
    message = "the server has received too many requests and has asked us to try again later"
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})


def internal() -> ApiError:
    return ApiError(500, "InternalError", "Internal error occurred (injected)")


class Faults:
    """The faults that are switched on. `add` before, `remove` or `clear` after."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self._active.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        self._active.remove(fault)

    def clear(self) -> None:
        self._active.clear()

    def meeting(self, call: Call) -> list[Fault]:
        """Those that this request meets; counts it."""
        met = []
        for fault in self._active:
            if not fault.matches(call):
                continue
            fault.met += 1
            if fault.met > fault.skip and (fault.times is None or fault.met <= fault.skip + fault.times):
                met.append(fault)
        return met


async def strike(faults: list[Fault]) -> None:
    """Before a request is worked on: wait, then refuse."""
    for fault in faults:
        if fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
    for fault in faults:
        if fault.error is not None:
            raise fault.error
