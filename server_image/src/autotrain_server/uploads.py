"""Requests -> bytes of pictures: raw bodies and multipart forms, kept in memory and bounded."""

from collections.abc import AsyncIterator

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from autotrain_server.preprocess import ImageError

FIELD = "img"
MAX_PICTURES = 64
"""In one request."""
MAX_HEADER_BYTES = 8_192
NAMED = 8
"""How many other fields a message lists."""
MAX_DIGITS = 18
"""Of a number in a header. Python refuses to read one of some thousand."""


async def pictures_of(request: Request, max_body_bytes: int) -> list[bytes]:
    """The pictures in a request, in order: the body itself, or every `img` part of a form. Raises ImageError."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"multipart/form-data":
        return await _form(request, options.get(b"boundary", b""), max_body_bytes)
    if kind in (b"", b"application/octet-stream") or kind.startswith(b"image/"):
        return [await body_of(request, max_body_bytes)]
    raise ImageError(
        415,
        "UnsupportedContentType",
        f"content-type is {kind.decode(errors='replace')!r}; send multipart/form-data with {FIELD!r}, or image/*",
    )


def natural(text: str) -> int | None:
    """The number that a header gives; None when it is none, or too long to mean one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def too_large(max_body_bytes: int) -> ImageError:
    return ImageError(413, "BodyTooLarge", f"the body is larger than the {max_body_bytes} bytes that are allowed")


async def body_of(request: Request, max_body_bytes: int) -> bytes:
    """The whole body. Raises ImageError when it is too large."""
    return b"".join([chunk async for chunk in _bounded(request, max_body_bytes)])


async def _bounded(request: Request, max_body_bytes: int) -> AsyncIterator[bytes]:
    if (natural(request.headers.get("content-length", "")) or 0) > max_body_bytes:
        raise too_large(max_body_bytes)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > max_body_bytes:
                raise too_large(max_body_bytes)
            yield chunk
    except ClientDisconnect as error:
        raise ImageError(400, "ClientDisconnected", "the client went away before the end of the body") from error


async def _form(request: Request, boundary: bytes, max_body_bytes: int) -> list[bytes]:
    if not boundary:
        raise ImageError(400, "InvalidForm", "multipart/form-data without a boundary")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in _bounded(request, max_body_bytes):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise ImageError(400, "InvalidForm", f"the form does not parse: {error}") from error
    if not form.ended:
        raise ImageError(400, "InvalidForm", "the form ends before its closing boundary")
    if not form.pictures:
        found = ", ".join(sorted(form.others)) or "none"
        raise ImageError(400, "MissingField", f"the form has no file field {FIELD!r}; fields found: {found}")
    return form.pictures


class _Form:
    """Collects the parts of one form. File names are not looked at."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.others: set[str] = set()
        self.ended = False
        self._field = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._part: bytearray | None = None

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._collect(self._field, data[start:end]),
            "on_header_value": lambda data, start, end: self._collect(self._value, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _collect(self, into: bytearray, data: bytes) -> None:
        into += data
        if len(into) > MAX_HEADER_BYTES:
            raise ImageError(400, "InvalidForm", f"a part's header is longer than {MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode(errors="replace")
        if name != FIELD:
            if len(self.others) < NAMED:
                self.others.add(name[:64])
            return
        if len(self.pictures) >= MAX_PICTURES:
            raise ImageError(413, "TooManyPictures", f"more than {MAX_PICTURES} pictures in one request")
        self._part = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part += data[start:end]

    def _part_end(self) -> None:
        if self._part is not None:
            self.pictures.append(bytes(self._part))
            self._part = None

    def _end(self) -> None:
        self.ended = True
