"""POST /validate: pictures in, answers out, as a form or as a raw body."""

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response

from autotrain_server import tasks
from autotrain_server.answers import to_json
from autotrain_server.errors import DOCUMENTED, RequestError
from autotrain_server.receiving import receive
from autotrain_server.service import Service
from autotrain_server.uploads import FIELD, pictures_of

ANY_TASK = "/validate"
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
        if (picture := await service.annotated(pictures[0])) is None:
            raise RequestError(400, "NothingToDraw", "annotated=true is for boxes and masks; this model gives labels")
        return Response(picture, media_type="image/jpeg")

    async def validate(request: Request, annotated: bool = False) -> Response:
        """Ask about one picture, or several: a form with one or more files `img`, or a raw image/* body."""
        task = service.ready().manifest.task
        if task not in names:
            raise RequestError(404, "OtherTask", f"this model does {task}; ask {ANY_TASK} or {tasks.PATHS[task]}")
        response: Response = await receive(service, request, pictures_of, drawn if annotated else answers)
        return response

    body = tasks.body_of(names)
    name = path.strip("/").replace("/", "_")
    app.post(path, response_model=body, responses=DOCUMENTED, openapi_extra=REQUEST_BODY, operation_id=name)(validate)
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    app.post(other, include_in_schema=False, response_model=None)(validate)
