"""POST /validate: pictures in, answers out, as a form or as a raw body."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response

from autotrain_server import tasks
from autotrain_server.answers import to_json
from autotrain_server.errors import UPLOAD_REFUSALS, RequestError, refusals
from autotrain_server.receiving import receive
from autotrain_server.service import Service
from autotrain_server.uploads import FIELD, MAX_PICTURES, pictures_of

ANY_TASK = "/validate"
PICTURE = {"type": "string", "format": "binary", "minLength": 1}
PICTURES = {"type": "array", "minItems": 1, "maxItems": MAX_PICTURES, "items": PICTURE}
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: PICTURES}},
                "encoding": {FIELD: {"contentType": "image/*"}},
            },
            "image/*": {"schema": PICTURE},
        },
    }
}
DRAWN: dict[str, Any] = {"content": {"image/jpeg": {"schema": PICTURE}}, "description": "Answers, or the drawn picture"}


def add_validate(app: FastAPI, service: Service) -> None:
    """The same answers with and without a slash at the end, at /validate and at the task's own path."""
    _add(app, service, ANY_TASK, tuple(tasks.TASKS))
    for path in dict.fromkeys(tasks.PATHS.values()):
        _add(app, service, path, tuple(name for name in tasks.TASKS if tasks.PATHS[name] == path))


def _add(app: FastAPI, service: Service, path: str, names: Sequence[str]) -> None:
    async def answers(pictures: Sequence[bytes]) -> Response:
        return Response(to_json(await service.answers(pictures)), media_type="application/json")

    async def drawn(pictures: Sequence[bytes]) -> Response:
        if len(pictures) != 1:
            raise RequestError(400, "OnePictureOnly", f"annotated=true takes one picture; found {len(pictures)}")
        return Response(await service.annotated(pictures[0]), media_type="image/jpeg")

    async def validate(request: Request, annotated: bool = False) -> Response:
        """Ask about one picture, or several: a form with one or more files `img`, or a raw image/* body.

        With `annotated` the answer is the picture itself, with boxes or masks drawn on it.
        """
        task = service.ready().manifest.task
        if task not in names:
            raise RequestError(404, "OtherTask", f"this model does {task}; ask {ANY_TASK} or {tasks.PATHS[task]}")
        if annotated and not service.ready().task.draws:
            raise RequestError(409, "NothingToDraw", "annotated=true is for boxes and masks; this model gives labels")
        response: Response = await receive(service, request, pictures_of, drawn if annotated else answers)
        return response

    app.post(
        path,
        response_model=tasks.body_of(names),
        responses={200: DRAWN, **refusals(404, 409, *UPLOAD_REFUSALS)},
        openapi_extra=REQUEST_BODY,
        operation_id=path.strip("/").replace("/", "_"),
    )(validate)
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    app.post(other, include_in_schema=False, response_model=None)(validate)
