"""GET /, /docs, /model and /report/{name}: what people look at."""

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse

from autotrain_api import bundle
from autotrain_server.errors import RequestError, refusals
from autotrain_server.service import Service

FOLDER = files("autotrain_server").joinpath("page")
PAGES = {"/": "index.html", "/docs": "docs.html"}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
REPORT = refusals(404, 503) | {200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}}


def add_pages(app: FastAPI, service: Service) -> None:
    for path, name in PAGES.items():
        _add_page(app, path, FOLDER.joinpath(name).read_text(encoding="utf-8"))

    @app.get("/model", responses=refusals(503))
    async def model_card() -> dict[str, Any]:
        """What answers here: task, classes, metrics, preprocessing and the names of the report's files."""
        manifest = service.ready().manifest
        shown = manifest.model_dump(mode="json", by_alias=True, exclude={"files", "golden", "recipe"})
        return {**shown, "report": sorted(name for name in manifest.files if name.startswith(f"{bundle.REPORT}/"))}

    @app.get("/report/{name}", response_class=FileResponse, responses=REPORT)
    async def report(name: str) -> FileResponse:
        """A file of the bundle's report, such as a plot."""
        path = f"{bundle.REPORT}/{name}"
        if path not in service.ready().manifest.files or not (service.model.folder / path).is_file():
            raise RequestError(404, "NotFound", f"the report has no {name!r}")
        return FileResponse(service.model.folder / path)


def _add_page(app: FastAPI, path: str, content: str) -> None:
    @app.get(path, include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(content, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})
