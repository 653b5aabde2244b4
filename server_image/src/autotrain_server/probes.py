"""GET /healthz, /readyz and /metrics: what the kubelet and Prometheus ask."""

from typing import Any, Literal

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from autotrain_server.metrics import CONTENT_TYPE
from autotrain_server.service import Service


class Ready(BaseModel):
    """Which model answers, and how it is computed."""

    ready: Literal[True]
    model: str
    revision: str
    digest: str
    engine: str
    precision: str
    precisionNote: str  # noqa: N815 - as it is written in the answer


class Alive(BaseModel):
    status: str


class NotReady(BaseModel):
    ready: Literal[False]
    reason: str
    file: str
    message: str


NOT_ALIVE: dict[int | str, dict[str, Any]] = {503: {"model": Alive, "description": "The engine failed: start again"}}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": NotReady, "description": "Loading, draining, or refused with reason, file and message"}
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {CONTENT_TYPE.partition(";")[0]: {"schema": {"type": "string"}}}}
}


def add_probes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=Alive, responses=NOT_ALIVE)
    async def healthz() -> JSONResponse:
        """The process answers, and its engine did not fail. A bundle that is refused is no reason to start again."""
        if (failure := service.model.failure) is not None:
            return JSONResponse({"status": failure.told()}, 503)
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", response_model=Ready, responses=NOT_READY)
    async def readyz() -> JSONResponse:
        """The model is verified and answers."""
        if (problem := service.problem()) is not None:
            reason, file, message = problem
            return JSONResponse({"ready": False, "reason": reason, "file": file, "message": message}, 503)
        return JSONResponse({"ready": True, **facts_of(service)})

    @app.get("/metrics", response_class=Response, responses=METRICS)
    async def metrics() -> Response:
        """For Prometheus, in the OpenMetrics text format."""
        if service.problem() is None:
            facts = facts_of(service)
            labels = [facts[key] for key in ("model", "revision", "digest", "engine", "precision", "precisionNote")]
            service.metrics.model.labels(*labels).set(1)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def facts_of(service: Service) -> dict[str, Any]:
    """Which model answers, and how it is computed."""
    predictor = service.ready()
    return {
        "model": predictor.manifest.name,
        "revision": predictor.manifest.revision,
        "digest": predictor.digest,
        "engine": predictor.engine.name,
        "precision": predictor.engine.precision,
        "precisionNote": predictor.precision_note,
    }
