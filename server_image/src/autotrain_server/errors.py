"""Every error as JSON of one form: {"error": {"reason", "message"}}; under /v2 as the Open Inference Protocol says."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from autotrain_api.names import Reason
from autotrain_server.admission import QueueFullError
from autotrain_server.functions import FunctionError
from autotrain_server.preprocess import ImageError
from autotrain_server.service import Service, UnavailableError

RETRY_AFTER = {"Retry-After": "1"}
PROTOCOL_PREFIX = "/v2"
REASONS = {404: "NotFound", 405: "MethodNotAllowed"}


class ErrorDetail(BaseModel):
    reason: str
    message: str


class ErrorAnswer(BaseModel):
    error: ErrorDetail


class ProtocolError(BaseModel):
    """An error as the Open Inference Protocol has it."""

    error: str


REFUSALS = {
    400: "Not a request that can be understood",
    404: "There is nothing of this name",
    408: "The body came too slowly",
    409: "Not with this model",
    413: "Body or picture too large",
    415: "Not a picture of a supported format",
    422: "The picture is damaged",
    500: "One of the model's own functions failed",
    503: "Not ready, or too many requests; try again",
}
UPLOAD_REFUSALS = (400, 408, 413, 415, 422, 500, 503)


def refusals(*statuses: int, model: Any = ErrorAnswer) -> dict[int | str, dict[str, Any]]:
    """These answers for a route's OpenAPI description."""
    documented: dict[int | str, dict[str, Any]] = {
        status: {"model": model, "description": REFUSALS[status]} for status in statuses
    }
    if 503 in documented:
        documented[503]["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return documented


class RequestError(Exception):
    """A request that cannot be answered. `status` is the HTTP status, `reason` one CamelCase word."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


def add_errors(app: FastAPI, service: Service) -> None:
    """Handlers for whatever the routes raise."""

    def answer(request: Request, status: int, reason: str, message: str, headers: Any = None) -> JSONResponse:
        return refusal(service, request.url.path, status, reason, message, headers)

    @app.exception_handler(ImageError)
    @app.exception_handler(RequestError)
    async def refused(request: Request, problem: ImageError | RequestError) -> JSONResponse:
        return answer(request, problem.status, problem.reason, str(problem))

    @app.exception_handler(FunctionError)
    async def own(request: Request, problem: FunctionError) -> JSONResponse:
        return answer(request, 500, Reason.FUNCTION_FAILED, str(problem))

    @app.exception_handler(UnavailableError)
    async def unavailable(request: Request, problem: UnavailableError) -> JSONResponse:
        return answer(request, 503, problem.reason, str(problem), RETRY_AFTER)

    @app.exception_handler(QueueFullError)
    async def full(request: Request, _: QueueFullError) -> JSONResponse:
        return answer(request, 503, "Overloaded", "too many requests wait; try again", RETRY_AFTER)

    @app.exception_handler(ClientGoneError)
    async def gone(request: Request, _: ClientGoneError) -> JSONResponse:
        return answer(request, 499, "ClientGone", "the client went away")

    @app.exception_handler(HTTPException)
    async def http(request: Request, problem: HTTPException) -> JSONResponse:
        reason = REASONS.get(problem.status_code, "InvalidRequest")
        return answer(request, problem.status_code, reason, str(problem.detail), problem.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        return answer(request, 400, "InvalidRequest", f"{place}: {first['msg']}")


def refusal(
    service: Service, path: str, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in the form of the route `path`, counted by its reason."""
    service.metrics.refused.labels(reason).inc()
    if path.startswith(PROTOCOL_PREFIX):
        return JSONResponse({"error": message}, status, headers)
    return JSONResponse({"error": {"reason": reason, "message": message}}, status, headers)


def crashed(service: Service, path: str, problem: Exception) -> JSONResponse:
    """What nobody foresaw. What it says may be of no concern to the client: the log has it."""
    return refusal(service, path, 500, Reason.CRASHED, f"the server failed: {type(problem).__name__}")
