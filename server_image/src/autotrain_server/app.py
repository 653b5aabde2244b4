"""The HTTP side of the server: routes, answers and errors. Everything slow happens in threads.

POST /validate, /classification/validate/   pictures in, answers out
GET  /healthz, /readyz                      alive; verified and answering
GET  /                                      the page; /docs describes the API
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autotrain_api import bundle
from autotrain_api.names import Reason
from autotrain_server.answers import Body, body_of
from autotrain_server.batcher import Batcher, QueueFullError
from autotrain_server.engine import cpu_limit
from autotrain_server.model import Model
from autotrain_server.predictor import Answer, BundleError, Predictor
from autotrain_server.preprocess import ImageError
from autotrain_server.settings import Settings
from autotrain_server.uploads import FIELD, pictures_of

RETRY_AFTER_SECONDS = "1"
PAGE = files("autotrain_server").joinpath("page/index.html")
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class ErrorDetail(BaseModel):
    reason: str
    message: str


class ErrorAnswer(BaseModel):
    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "No picture in the request"},
    408: {"model": ErrorAnswer, "description": "The body came too slowly"},
    413: {"model": ErrorAnswer, "description": "Body or picture too large"},
    415: {"model": ErrorAnswer, "description": "Not a picture of a supported format"},
    422: {"model": ErrorAnswer, "description": "The picture is damaged"},
    503: {"model": ErrorAnswer, "description": "Not ready, or too many requests; try again"},
}


class Service:
    """One model behind its queue, with the settings that answers depend on."""

    def __init__(self, settings: Settings, model: Model) -> None:
        self.settings = settings
        self.model = model
        self._decoders = ThreadPoolExecutor(cpu_limit(), thread_name_prefix="decode")
        self._batcher = Batcher(self._run, settings.max_batch, settings.queue_size)

    def ready(self) -> Predictor:
        """The verified predictor, or 503 with the reason."""
        if self.model.error is not None:
            raise failure(503, self.model.error.reason, self.model.error.told())
        if self.model.predictor is None:
            raise failure(503, "Loading", "the model is being verified")
        return self.model.predictor

    async def answer(self, request: Request) -> list[Answer]:
        """Answers to the pictures of a request, in order."""
        predictor = self.ready()
        seconds = self.settings.limits.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                pictures = await pictures_of(request, self.settings.max_body_bytes)
        except TimeoutError as error:
            raise failure(408, "RequestTimeout", f"the body took longer than {seconds} s") from error
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.gather(*(self._answer(predictor, picture) for picture in pictures))
        except TimeoutError as error:
            raise failure(503, "Timeout", f"no answer within {seconds} s; the server is busy") from error

    async def _answer(self, predictor: Predictor, picture: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        pixels = await loop.run_in_executor(self._decoders, predictor.decode, picture, self.settings.limits.max_pixels)
        return predictor.answer(await self._batcher.scores(pixels), self.settings.postprocessing)

    def _run(self, images: Any) -> Any:
        predictor = self.model.predictor
        if predictor is None:
            raise RuntimeError("no model")
        try:
            return predictor.logits(images)
        except RuntimeError as error:
            problem = BundleError(Reason.CRASHED, bundle.MODEL, f"the engine failed: {error}")
            self.model.fail(problem)
            raise failure(503, problem.reason, problem.told()) from error


def failure(status: int, reason: str, message: str) -> HTTPException:
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else None
    return HTTPException(status, {"reason": reason, "message": message}, headers)


class ModelHeaders:
    """ASGI middleware: every answer says which model gave it."""

    def __init__(self, app: ASGIApp, model: Model) -> None:
        self.app = app
        self.model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            predictor = self.model.predictor
            if message["type"] == "http.response.start" and predictor is not None:
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-model-revision", predictor.manifest.revision.encode()),
                    (b"x-model-digest", predictor.digest.encode()),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def create_app(settings: Settings, model: Model) -> FastAPI:
    """The application; loading starts with it and `/readyz` says how it went."""
    service = Service(settings, model)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        model.start()
        yield

    app = FastAPI(title="autotrain", description=__doc__ or "", version="v1", lifespan=lifespan)
    app.add_middleware(ModelHeaders, model=model)
    _add_errors(app)
    _add_probes(app, service)
    _add_page(app, service)

    async def validate(request: Request) -> Body:
        """Classify one picture, or several: a form with one or more files `img`, or a raw image/* body."""
        return body_of(await service.answer(request))

    for path in ("/validate", "/classification/validate/"):
        app.post(path, responses=ERRORS, openapi_extra=REQUEST_BODY, operation_id=path.strip("/").replace("/", "_"))(
            validate
        )
    return app


def _add_errors(app: FastAPI) -> None:
    def error(status: int, reason: str, message: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": {"reason": reason, "message": message}}, status, headers)

    @app.exception_handler(ImageError)
    async def image(_: Request, problem: ImageError) -> JSONResponse:
        return error(problem.status, problem.reason, str(problem))

    @app.exception_handler(QueueFullError)
    async def full(_: Request, problem: QueueFullError) -> JSONResponse:
        return error(503, "Overloaded", "too many requests wait; try again", {"Retry-After": RETRY_AFTER_SECONDS})

    @app.exception_handler(StarletteHTTPException)
    async def http(_: Request, problem: StarletteHTTPException) -> JSONResponse:
        detail: Any = problem.detail
        if isinstance(detail, dict):
            return error(problem.status_code, detail["reason"], detail["message"], problem.headers)
        reason = {404: "NotFound", 405: "MethodNotAllowed"}.get(problem.status_code, "Error")
        return error(problem.status_code, reason, str(detail), problem.headers)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, problem: Exception) -> JSONResponse:
        return error(500, "Crashed", f"the server failed: {type(problem).__name__}")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> JSONResponse:
        return error(400, "InvalidRequest", str(problem))


def _add_probes(app: FastAPI, service: Service) -> None:
    model = service.model

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"description": "Loading, or refused with reason, file and message"}})
    async def readyz() -> JSONResponse:
        """The model is verified and answers."""
        if model.error is not None:
            problem = {"reason": model.error.reason, "file": model.error.file, "message": model.error.told()}
            return JSONResponse({"ready": False, **problem}, 503)
        if model.predictor is None:
            return JSONResponse({"ready": False, "reason": "Loading", "message": "the model is being verified"}, 503)
        manifest, engine = model.predictor.manifest, model.predictor.engine
        return JSONResponse(
            {
                "ready": True,
                "model": manifest.name,
                "revision": manifest.revision,
                "digest": model.predictor.digest,
                "engine": engine.name,
                "precision": engine.precision,
            }
        )


def _add_page(app: FastAPI, service: Service) -> None:
    page = PAGE.read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    @app.get("/model")
    async def model_card() -> dict[str, Any]:
        """What answers here: task, classes, metrics, preprocessing and the names of the report's files."""
        manifest = service.ready().manifest
        shown = manifest.model_dump(mode="json", by_alias=True, exclude={"files", "golden", "recipe"})
        return {**shown, "report": sorted(name for name in manifest.files if name.startswith(f"{bundle.REPORT}/"))}

    @app.get("/report/{name}")
    async def report(name: str) -> FileResponse:
        """A file of the bundle's report, such as a plot."""
        path = f"{bundle.REPORT}/{name}"
        if path not in service.ready().manifest.files or not (service.model.folder / path).is_file():
            raise failure(404, "NotFound", f"the report has no {Path(name).name!r}")
        return FileResponse(service.model.folder / path)


CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
