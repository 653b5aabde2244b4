"""The OpenAPI document as a whole: the headers that every answer carries, and no answer that no route gives."""

from typing import Any

from fastapi import FastAPI

HEADERS = {
    "X-Request-ID": "The request's own, or a new one",
    "X-Model-Revision": "Revision of the model that answers, once it is verified",
    "X-Model-Digest": "sha256 of its manifest.json, once it is verified",
}
UNUSED = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's own 422, which these routes do not give: what does not parse is a 400."""


def add_description(app: FastAPI) -> None:
    """Complete the document that FastAPI makes of the routes."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(generated())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, changed in place."""
    components = document["components"]
    components["schemas"] = {name: schema for name, schema in components["schemas"].items() if name not in UNUSED}
    components["headers"] = {
        name: {"description": description, "schema": {"type": "string"}} for name, description in HEADERS.items()
    }
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        answers = {status: answer for status, answer in operation["responses"].items() if not _generated(answer)}
        for answer in answers.values():
            references = {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}
            answer["headers"] = answer.get("headers", {}) | references
        operation["responses"] = answers
    return document


def _generated(answer: dict[str, Any]) -> bool:
    """Whether it is FastAPI's own 422."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema.get("$ref") == f"#/components/schemas/{UNUSED[0]}")
