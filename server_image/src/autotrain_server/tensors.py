"""Tensors of the Open Inference Protocol: requests in JSON or in the binary extension -> pictures, and outputs back.

Binary tensor data: the header Inference-Header-Content-Length says how many bytes of the body are JSON; behind it lie the
tensors that have a parameter `binary_data_size`. An element of BYTES is preceded by its length, four bytes little-endian.
"""

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from autotrain_server.errors import RequestError
from autotrain_server.tasks import Tensor
from autotrain_server.uploads import MAX_PICTURES, body_of, natural

INPUT = "image"
LENGTH_HEADER = "Inference-Header-Content-Length"
MAX_DIMENSIONS = 8
"""Of a tensor; the product of a long shape takes minutes."""
MAX_ELEMENTS = 4_096
"""Lists, objects and commas in the JSON of a request. Base64 has none of their characters, and one of two bytes may cost
the parser two hundred."""
NUMBERS = {"FP32": "f", "INT32": "i"}
"""Datatypes of numbers -> their letter for `struct`."""
Outputs = dict[str, Tensor]


Parameters = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
"""Clients that write all of their fields write null for those that are not set."""


class InputTensor(BaseModel):
    name: str
    datatype: str
    shape: list[int] = Field(max_length=MAX_DIMENSIONS)
    parameters: Parameters = {}
    data: list[Any] | None = None


class RequestedOutput(BaseModel):
    name: str
    parameters: Parameters = {}


class InferRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str | None = Field(None, max_length=256)
    parameters: Parameters = {}
    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None


class Inference:
    """A request that was understood."""

    def __init__(self, asked: InferRequest, pictures: list[bytes]) -> None:
        self.id = asked.id
        self.pictures = pictures
        self._outputs = asked.outputs
        self._all_binary = asked.parameters.get("binary_data_output") is True

    def select(self, outputs: Outputs) -> Outputs:
        """Those that were asked for, in that order; all when none was named. Raises RequestError."""
        if not self._outputs:
            return outputs
        for asked in self._outputs:
            if asked.name not in outputs:
                raise bad(f"outputs: there is no {asked.name!r}; there are {', '.join(outputs)}")
        return {asked.name: outputs[asked.name] for asked in self._outputs}

    def binary(self, name: str) -> bool:
        """Whether this output is wanted as bytes behind the JSON."""
        named = {asked.name: asked.parameters.get("binary_data", self._all_binary) for asked in self._outputs or ()}
        return named.get(name, self._all_binary) is True


async def read_inference(request: Request, max_body_bytes: int) -> Inference:
    """The pictures of an infer request. Raises RequestError, ImageError."""
    body = await body_of(request, max_body_bytes)
    length = header_length(request.headers.get(LENGTH_HEADER), len(body))
    asked = understood(body[:length])
    return Inference(asked, pictures_in(asked, body[length:]))


def understood(head: bytes) -> InferRequest:
    """The JSON of a request. Raises RequestError."""
    if sum(map(head.count, (b"[", b"{", b","))) > MAX_ELEMENTS:
        raise bad(f"body: more than {MAX_ELEMENTS} elements in the JSON; encoded pictures are one each")
    try:
        return InferRequest.model_validate_json(head, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "body"
        raise bad(f"{place}: {first['msg']}") from error


def header_length(declared: str | None, size: int) -> int:
    if declared is None:
        return size
    length = natural(declared)
    if length is None or length > size:
        raise bad(f"{LENGTH_HEADER} is {declared[:32]!r}; the body has {size} bytes")
    return length


def pictures_in(asked: InferRequest, tail: bytes) -> list[bytes]:
    """Encoded pictures of the one input tensor."""
    if len(asked.inputs) != 1 or asked.inputs[0].name != INPUT:
        found = ", ".join(repr(tensor.name) for tensor in asked.inputs[:8]) or "none"
        raise bad(f"inputs: one tensor {INPUT!r} is wanted; found: {found}")
    tensor = asked.inputs[0]
    if tensor.datatype != "BYTES":
        raise bad(f"inputs.0.datatype: {tensor.datatype!r}; {INPUT!r} is BYTES, encoded pictures")
    if "binary_data_size" in tensor.parameters:
        pictures = unpack(tail, tensor.parameters["binary_data_size"])
    else:
        texts = flat(tensor.data or [], len(tensor.shape))
        pictures = [decode_text(text, place) for place, text in enumerate(texts)]
    check_count(len(pictures))
    if math.prod(tensor.shape) != len(pictures):
        raise bad(f"inputs.0.shape: {tensor.shape} for {len(pictures)} elements")
    return pictures


def check_count(pictures: int) -> None:
    if not 1 <= pictures <= MAX_PICTURES:
        raise bad(f"inputs.0.data: {pictures} pictures; 1 to {MAX_PICTURES} are allowed in one request")


def flat(data: list[Any], dimensions: int) -> list[Any]:
    """Elements of a tensor, which may be written as a list, or as lists in lists like its shape."""
    for _ in range(dimensions - 1):
        if not any(isinstance(element, list) for element in data):
            break
        data = [inner for element in data for inner in (element if isinstance(element, list) else [element])]
    return data


def decode_text(text: Any, place: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad(f"inputs.0.data.{place}: an encoded picture in base64 is wanted: {error}") from error


def unpack(data: bytes, size: Any) -> list[bytes]:
    """Elements of a BYTES tensor in binary form."""
    if size != len(data):
        raise bad(f"inputs.0.parameters.binary_data_size: {size!r}; {len(data)} bytes follow the JSON")
    found: list[bytes] = []
    start = 0
    while start < len(data):
        check_count(len(found) + 1)
        if start + 4 > len(data):
            raise bad(f"binary tensor data: it ends within the length of element {len(found)}")
        (length,) = struct.unpack_from("<I", data, start)
        start += 4
        if start + length > len(data):
            raise bad(f"binary tensor data: element {len(found)} has {length} bytes, {len(data) - start} are left")
        found.append(data[start : start + length])
        start += length
    return found


def encode(outputs: Outputs, binary: Any) -> tuple[list[dict[str, Any]], bytes]:
    """The `outputs` of a response, and the bytes behind its JSON; `binary` says of a name whether it goes there."""
    tensors, tail = [], b""
    for name, (datatype, shape, values) in outputs.items():
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary(name):
            packed = pack(datatype, values)
            tensor["parameters"] = {"binary_data_size": len(packed)}
            tail += packed
        else:
            tensor["data"] = values
        tensors.append(tensor)
    return tensors, tail


def pack(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype in NUMBERS:
        return struct.pack(f"<{len(values)}{NUMBERS[datatype]}", *values)
    texts = [str(value).encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def bad(message: str) -> RequestError:
    return RequestError(400, "InvalidRequest", message)
