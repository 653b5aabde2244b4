"""What /v2 says of itself in the OpenAPI document: bodies of requests and answers of the Open Inference Protocol."""

from typing import Any

from pydantic import BaseModel

from autotrain_server.errors import UPLOAD_REFUSALS, ProtocolError, refusals
from autotrain_server.tensors import INPUT, LENGTH_HEADER, MAX_DIMENSIONS
from autotrain_server.uploads import MAX_PICTURES


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    live: bool


class ServerReady(BaseModel):
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any]


class OutputTensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] = []


class InferAnswer(BaseModel):
    id: str = ""
    model_name: str
    model_version: str
    outputs: list[OutputTensor]


NAMED = refusals(404, 503, model=ProtocolError)
SERVER_LIVE: dict[int | str, dict[str, Any]] = {503: {"model": Live, "description": "The engine failed: start again"}}
SERVER_READY: dict[int | str, dict[str, Any]] = {503: {"model": ServerReady, "description": "Not ready"}}
MODEL_READY = NAMED | {503: {"model": ModelReady | ProtocolError, "description": "Not ready"}}
BINARY = {"schema": {"type": "string", "format": "binary"}}
INFER = refusals(404, *UPLOAD_REFUSALS, model=ProtocolError) | {
    200: {
        "content": {"application/octet-stream": BINARY},
        "headers": {
            LENGTH_HEADER: {
                "description": "Bytes of JSON before the binary tensors that were asked for",
                "schema": {"type": "integer"},
            }
        },
    }
}

_PARAMETERS = {"type": ["object", "null"]}
_ENCODED = {"type": "string", "format": "byte"}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"const": INPUT},
        "shape": {"type": "array", "maxItems": MAX_DIMENSIONS, "items": {"type": "integer", "minimum": 1}},
        "datatype": {"const": "BYTES"},
        "parameters": _PARAMETERS,
        "data": {"type": "array", "minItems": 1, "maxItems": MAX_PICTURES, "items": _ENCODED},
    },
}
_OUTPUT = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"enum": ["label", "confidence", "scores"]}, "parameters": _PARAMETERS},
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"], "maxLength": 256},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _TENSOR},
        "outputs": {"type": ["array", "null"], "items": _OUTPUT},
    },
}
INFER_REQUEST = {
    "requestBody": {
        "description": "The protocol's JSON. Binary tensor data, if any, lies behind it.",
        "required": True,
        "content": {"application/json": {"schema": _REQUEST}},
    },
}
"""One tensor of encoded pictures; what FastAPI cannot see in a route that reads its own body."""
