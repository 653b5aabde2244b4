"""A client of the server's application in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from autotrain_server.app import create_app
from autotrain_server.model import Model
from autotrain_server.settings import Settings


@contextlib.asynccontextmanager
async def serving(folder: Path, sha256: str = "", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application over `folder`, once loading is over."""
    wanted = Settings(bundle=str(folder), **settings)
    model = Model(folder, sha256, postprocessing=wanted.postprocessing, functions=wanted.functions)
    app = create_app(wanted, model)
    model.start()
    await asyncio.to_thread(model.wait)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        client.service = app.state.service  # type: ignore[attr-defined]
        yield client
