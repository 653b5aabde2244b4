"""A request's way in: let in or sent away on arrival, its body read in time, its work dropped when nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from autotrain_server.admission import QueueFullError
from autotrain_server.errors import ClientGoneError, RequestError
from autotrain_server.service import Service
from autotrain_server.uploads import natural

T = TypeVar("T")
Reader = Callable[[Request, int], Awaitable[T]]
CROWDED = "crowded"
"""In a request's state: there are more connections than there may be."""
Worker = Callable[[T], Coroutine[Any, Any, Any]]


async def receive(service: Service, request: Request, read: Reader[T], work: Worker[T]) -> Any:
    """`work` on what `read` finds in the body. Raises QueueFullError, UnavailableError, RequestError, ImageError."""
    service.ready()
    if getattr(request.state, CROWDED, False):
        raise QueueFullError
    most = service.settings.max_body_bytes
    with service.admission.enter(declared_size(request, most)):
        return await unless_gone(
            request, work(await in_time(read(request, most), service.settings.limits.timeout_seconds))
        )


def declared_size(request: Request, most: int) -> int:
    """Bytes that the body may have, as far as is known; what is larger than allowed is refused when it is read."""
    declared = natural(request.headers.get("content-length", ""))
    return most if declared is None else min(declared, most)


async def in_time(reading: Awaitable[T], seconds: float) -> T:
    """What was read. Raises RequestError when it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError as error:
        raise RequestError(408, "RequestTimeout", f"the body took longer than {seconds} s") from error


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is dropped when the client goes away. Raises ClientGoneError."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
