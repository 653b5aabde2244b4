"""START HERE for the server: one application over one model. Everything slow happens in threads.

POST /validate, /classification/validate/   pictures in, answers out (validate.py)
     /v2/...                                the same as Open Inference Protocol (protocol.py)
GET  /healthz, /readyz, /metrics            alive; verified and answering; for Prometheus (probes.py)
GET  /, /docs, /model, /report/{name}       the page, the API, the model's card and plots (pages.py)

A request: receiving.py -> uploads.py -> service.py -> preprocess.py -> batcher.py -> engine.py -> answers.py
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from autotrain_server.description import add_description
from autotrain_server.errors import add_errors
from autotrain_server.model import Model
from autotrain_server.observing import Observing
from autotrain_server.pages import add_pages
from autotrain_server.probes import add_probes
from autotrain_server.protocol import add_protocol
from autotrain_server.service import Service
from autotrain_server.settings import Settings
from autotrain_server.validate import add_validate


def create_app(settings: Settings, model: Model) -> FastAPI:
    """The application; loading starts with it and `/readyz` says how it went. `app.state.service` is what it runs on."""
    service = Service(settings, model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        model.start()
        yield

    app = FastAPI(
        title="autotrain",
        description="A verified vision model that answers.",
        version="v1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_middleware(Observing, service=service)
    add_errors(app, service)
    add_probes(app, service)
    add_pages(app, service)
    add_validate(app, service)
    add_protocol(app, service)
    add_description(app)
    return app
