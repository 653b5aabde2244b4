"""The Open Inference Protocol (V2), https://github.com/kserve/open-inference-protocol, under /v2.

One input, `image`: BYTES of encoded pictures, base64 in JSON or raw in the binary tensor data extension. The outputs are the
task's (tasks/).
"""

from collections.abc import Sequence
from enum import Enum
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from autotrain_server.errors import RequestError
from autotrain_server.predictor import Predictor
from autotrain_server.probes import facts_of
from autotrain_server.protocol_description import (
    INFER,
    INFER_REQUEST,
    MODEL_READY,
    NAMED,
    SERVER_LIVE,
    SERVER_READY,
    InferAnswer,
    Live,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
    ServerReady,
)
from autotrain_server.receiving import receive
from autotrain_server.service import Service
from autotrain_server.tasks import Seen
from autotrain_server.tensors import INPUT, LENGTH_HEADER, Inference, Outputs, encode, read_inference

SERVER = "autotrain-server"
EXTENSIONS = ["binary_tensor_data"]
MODEL = "/v2/models/{name}"
VERSION = MODEL + "/versions/{version}"
TAGS: list[str | Enum] = ["v2"]


def add_protocol(app: FastAPI, service: Service) -> None:
    _add_health(app, service)

    @app.get("/v2", tags=TAGS, response_model=ServerMetadata)
    async def server_metadata() -> dict[str, Any]:
        """This server, and the extensions of the protocol that it speaks."""
        return {"name": SERVER, "version": version(SERVER), "extensions": EXTENSIONS}

    @app.get(MODEL, tags=TAGS, response_model=ModelMetadata, responses=NAMED)
    @app.get(VERSION, tags=TAGS, response_model=ModelMetadata, responses=NAMED)
    async def model_metadata(name: str, version: str = "") -> dict[str, Any]:
        """The model's inputs and outputs. Its version is its revision."""
        return metadata(named(service, name, version), service)

    async def infer(request: Request, name: str, version: str = "") -> Response:
        """Classify encoded pictures: one BYTES tensor `image` of shape [n]."""
        predictor = named(service, name, version)

        async def work(inference: Inference) -> Response:
            seen = await service.look(inference.pictures)
            outputs = await service.work(predictor, lambda: outputs_of(predictor, seen, service))
            return answer(predictor, inference, encode(inference.select(outputs), inference.binary))

        return await receive(service, request, read_inference, work)  # type: ignore[no-any-return]

    for path in (f"{MODEL}/infer", f"{VERSION}/infer"):
        app.post(path, tags=TAGS, response_model=InferAnswer, responses=INFER, openapi_extra=INFER_REQUEST)(infer)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/v2/health/live", tags=TAGS, response_model=Live, responses=SERVER_LIVE)
    async def live() -> JSONResponse:
        """As /healthz."""
        alive = service.model.failure is None
        return JSONResponse({"live": alive}, 200 if alive else 503)

    @app.get("/v2/health/ready", tags=TAGS, response_model=ServerReady, responses=SERVER_READY)
    async def ready() -> JSONResponse:
        """The model is verified and answers."""
        problem = service.problem()
        return JSONResponse({"ready": problem is None}, 200 if problem is None else 503)

    @app.get(f"{MODEL}/ready", tags=TAGS, response_model=ModelReady, responses=MODEL_READY)
    @app.get(f"{VERSION}/ready", tags=TAGS, response_model=ModelReady, responses=MODEL_READY)
    async def model_ready(name: str, version: str = "") -> JSONResponse:
        predictor = named(service, name, version)
        ready = service.problem() is None
        return JSONResponse({"name": predictor.manifest.name, "ready": ready}, 200 if ready else 503)


def named(service: Service, name: str, version: str) -> Predictor:
    """The model of this server, when it is the one that was named. Raises RequestError, UnavailableError."""
    predictor = service.ready()
    here = predictor.manifest
    if name != here.name or version not in ("", here.revision):
        asked = f"{name!r} {version}".strip()
        raise RequestError(404, "NotFound", f"there is no model {asked}; this server has {here.name!r} {here.revision}")
    return predictor


def metadata(predictor: Predictor, service: Service) -> dict[str, Any]:
    manifest = predictor.manifest
    facts = facts_of(service)
    return {
        "name": manifest.name,
        "versions": [manifest.revision],
        "platform": f"{facts['engine']}_onnx",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, (datatype, shape) in predictor.task.tensors(-1).items()
        ],
        "parameters": {
            "classes": manifest.classes,
            **{key: facts[key] for key in ("digest", "precision", "precisionNote")},
        },
    }


def outputs_of(predictor: Predictor, seen: Sequence[Seen], service: Service) -> Outputs:
    """Output name -> datatype, shape and values."""
    answers = [predictor.answer(one, service.settings.postprocessing) for one in seen]
    for answer in answers:
        service.count(predictor.task.labels(answer))
    return predictor.task.outputs(seen, answers)


def answer(predictor: Predictor, inference: Inference, encoded: tuple[list[dict[str, Any]], bytes]) -> Response:
    """JSON, and behind it the binary tensors, if any were asked for."""
    outputs, tail = encoded
    body = {"model_name": predictor.manifest.name, "model_version": predictor.manifest.revision, "outputs": outputs}
    if inference.id:
        body["id"] = inference.id
    head = bytes(JSONResponse(body).body)
    if not tail:
        return Response(head, media_type="application/json")
    return Response(head + tail, media_type="application/octet-stream", headers={LENGTH_HEADER: str(len(head))})
