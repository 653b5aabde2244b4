"""POST /validate: pictures in, answers out, as a form or as a raw body."""

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response

from autotrain_server.answers import Body, to_json
from autotrain_server.errors import UPLOAD_REFUSALS, refusals
from autotrain_server.receiving import receive
from autotrain_server.service import Service
from autotrain_server.uploads import FIELD, MAX_PICTURES, pictures_of

PATHS = ("/validate", "/classification/validate/")
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


def add_validate(app: FastAPI, service: Service) -> None:
    """The same answers with and without a slash at the end."""

    async def work(pictures: Sequence[bytes]) -> str:
        return to_json(await service.answers(pictures))

    async def validate(request: Request) -> Response:
        """Classify one picture, or several: a form with one or more files `img`, or a raw image/* body."""
        return Response(await receive(service, request, pictures_of, work), media_type="application/json")

    for path in PATHS:
        name = path.strip("/").replace("/", "_")
        described = app.post(
            path,
            response_model=Body,
            responses=refusals(*UPLOAD_REFUSALS),
            openapi_extra=REQUEST_BODY,
            operation_id=name,
        )
        described(validate)
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        app.post(other, include_in_schema=False, response_model=None)(validate)
