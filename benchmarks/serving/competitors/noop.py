"""(g) The upload is received and parsed, nothing else: what HTTP costs."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

FIELD = "img"


async def validate(request: Request) -> JSONResponse:
    async with request.form() as form:
        data = await form[FIELD].read()
    return JSONResponse({"bytes": len(data)})


app = Starlette(routes=[Route("/validate", validate, methods=["POST"])])
