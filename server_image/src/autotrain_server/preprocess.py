"""Bytes of a picture -> the network's input. The trainer's evaluation and the server use this one code.

No engine and no HTTP here. Geometry is decided in geometry.py, pixels are moved by `read`.
"""

import io
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_server.geometry import corner_of, region_of

Pixels = NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MAX_PIXELS = 50_000_000
PADDING = 128
"""Grey level around a letterboxed picture."""
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the picture upright."""
SWAPPING_ORIENTATIONS = (5, 6, 7, 8)
MIRRORING_ORIENTATIONS = ((2, 3, 6, 7), (3, 4, 7, 8))
"""Those whose upright x, and y, run against the stored direction."""
JPEG_EIGHTHS = 8
"""A JPEG is decoded at so many eighths of its size, or fewer."""
START_OF_SCAN = b"\xff\xda"
MAX_SCANS = 100
"""Of a JPEG; a progressive one has about ten. Each goes over the whole picture, however few bytes it has."""
UNBUFFERED_SCANS = 2
"""A plain JPEG and its thumbnail: decoded line by line. With more, libjpeg keeps the whole picture."""
EXIF_ORIENTATION = 0x0112
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
RESAMPLING = {
    "Nearest": Image.Resampling.NEAREST,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}

Image.MAX_IMAGE_PIXELS = None  # `decode` has its own limit, which the caller sets


class ImageError(ValueError):
    """A picture that cannot be used. `status` is the HTTP status, `reason` one CamelCase word."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class PixelBudget:
    """Bounds the pixels that are decoded at the same time, on any number of threads, in the order of arrival."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._turn = threading.Lock()
        self._freed = threading.Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for `pixels`; more than the whole budget goes alone."""
        with self._turn, self._freed:
            self._freed.wait_for(lambda: not self._taken or self._taken + pixels <= self._most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._freed:
                self._taken -= pixels
                self._freed.notify()


BUDGET = PixelBudget(MAX_PIXELS)
"""A pixel takes up to 16 bytes while a PNG or WebP is decoded: 0.8 GB in all, below a serving pod's limit."""


class Picture(NamedTuple):
    """A picture as the network takes it."""

    pixels: Pixels
    """uint8 RGB [height, width, 3] at the network's size"""
    width: int
    height: int
    """Size of the upright upload, in pixels."""


def read(data: bytes, preprocessing: ResolvedPreprocessing, max_pixels: int = MAX_PIXELS) -> Picture:
    """Bytes of a picture -> its pixels for the network and its size. Raises ImageError."""
    image, frame, width, height = _open(data, preprocessing, max_pixels)
    region = region_of(width, height, preprocessing)
    across, down = (frame[2] - frame[0]) / width, (frame[3] - frame[1]) / height  # below 1 for a large JPEG
    left, top, right, bottom = region.box
    box = (frame[0] + left * across, frame[1] + top * down, frame[0] + right * across, frame[1] + bottom * down)
    drawn = image.resize((region.width, region.height), RESAMPLING[preprocessing.interpolation], box=box)
    if (drawn.width, drawn.height) == (preprocessing.width, preprocessing.height):
        return Picture(np.asarray(drawn), width, height)
    canvas = np.full((preprocessing.height, preprocessing.width, 3), PADDING, dtype=np.uint8)
    left, top = corner_of(region, preprocessing)
    canvas[top : top + drawn.height, left : left + drawn.width] = np.asarray(drawn)
    return Picture(canvas, width, height)


def decode(data: bytes, preprocessing: ResolvedPreprocessing, max_pixels: int = MAX_PIXELS) -> Pixels:
    """uint8 RGB [height, width, 3] at the network's size. Raises ImageError."""
    return read(data, preprocessing, max_pixels).pixels


def upright(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The whole picture, RGB and upright, in its own size. Raises ImageError."""
    return _open(data, None, max_pixels).image


def stored_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header, before EXIF turns the picture; no pixel is decoded. Raises ImageError."""
    return _header(data).size


class _Opened(NamedTuple):
    image: Image.Image
    """RGB and upright"""
    frame: tuple[float, float, float, float]
    """Where the picture lies in it: a scaled JPEG ends with a pixel that it may fill only in part."""
    width: int
    height: int
    """Size of the picture itself."""


def _open(data: bytes, preprocessing: ResolvedPreprocessing | None, max_pixels: int) -> _Opened:
    """The upright RGB picture; for `preprocessing`, a large JPEG comes scaled down. Raises ImageError."""
    image = _header(data)
    if image.width * image.height > max_pixels:
        raise ImageError(
            413,
            "TooManyPixels",
            f"the picture has {image.width} x {image.height} pixels; at most {max_pixels} are allowed",
        )
    try:
        scans = _scans(data, image)
        if preprocessing is not None and scans <= UNBUFFERED_SCANS and _plain_jpeg(image):
            return _decode_jpeg(data, image, preprocessing)
        with BUDGET.take(image.width * image.height):
            if preprocessing is not None and _plain_jpeg(image):
                return _decode_jpeg(data, image, preprocessing)
            whole = _to_rgb(image)
            return _Opened(whole, (0, 0, whole.width, whole.height), whole.width, whole.height)
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever they like
        raise ImageError(422, "DamagedImage", f"the {image.format} picture is truncated or damaged: {error}") from error


def _header(data: bytes) -> Image.Image:
    if not data:
        raise ImageError(400, "EmptyImage", "the picture is empty: 0 bytes")
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        kind = "AVIF" if data[8:10] == b"av" else "HEIC"
        raise ImageError(415, "UnsupportedImage", f"{kind} is not supported; send one of {', '.join(FORMATS)}")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(415, "NotAnImage", f"the data is not a picture; send one of {', '.join(FORMATS)}") from error
    except Exception as error:
        raise ImageError(422, "DamagedImage", f"the picture's header is damaged: {error}") from error


def _scans(data: bytes, image: Image.Image) -> int:
    """Passes over the picture, 1 for what is no JPEG; a thumbnail's are counted too. Raises ImageError."""
    scans = data.count(START_OF_SCAN) if image.format == "JPEG" else 1
    if scans > MAX_SCANS:
        raise ImageError(422, "TooManyScans", f"the JPEG has {scans} scans; at most {MAX_SCANS} are allowed")
    return scans


def _plain_jpeg(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode in ("RGB", "L")


def _decode_jpeg(data: bytes, image: Image.Image, preprocessing: ResolvedPreprocessing) -> _Opened:
    """The whole JPEG at the smallest scale that leaves `decode_scale` pixels for each one the network sees."""
    orientation = _orientation(image)
    width, height = image.size
    if orientation in SWAPPING_ORIENTATIONS:
        width, height = height, width
    region = region_of(width, height, preprocessing)
    seen_width, seen_height = region.box[2] - region.box[0], region.box[3] - region.box[1]
    scale = min(1.0, max(region.width / seen_width, region.height / seen_height) * preprocessing.decode_scale)
    pixels = simplejpeg.decode_jpeg(
        data,
        "RGB",
        min_height=max(1, math.ceil(image.height * scale)),
        min_width=max(1, math.ceil(image.width * scale)),
        min_factor=1,
    )
    decoded = _upright(Image.fromarray(pixels), orientation)
    filled = _eighths(image.size, (pixels.shape[1], pixels.shape[0])) / JPEG_EIGHTHS
    left, top = (
        side - filled * whole if orientation in mirroring else 0.0
        for side, whole, mirroring in zip(decoded.size, (width, height), MIRRORING_ORIENTATIONS, strict=True)
    )
    return _Opened(decoded, (left, top, left + filled * width, top + filled * height), width, height)


def _eighths(size: tuple[int, int], decoded: tuple[int, int]) -> int:
    """The scale at which a JPEG was decoded: libjpeg rounds its sides up."""
    for eighths in range(1, JPEG_EIGHTHS):
        if all(-(-side * eighths // JPEG_EIGHTHS) == found for side, found in zip(size, decoded, strict=True)):
            return eighths
    return JPEG_EIGHTHS


def _orientation(image: Image.Image) -> object:
    """By EXIF; 1, upright, where it is absent or damaged: the pixels can still be good."""
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as decoders do, it raises whatever it likes
        return 1


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    method = TRANSPOSES.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The high byte of 16 bits. Nobody says what range 32 bits use: 8 if they suffice, or else 16."""
    levels = np.asarray(image)
    high = levels >> 8 if image.mode != "I" or levels.max(initial=0) > 255 else levels
    return Image.fromarray(high.clip(0, 255).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    """First frame, upright, eight bits, alpha over white."""
    image.load()
    image = _upright(image, _orientation(image))
    if image.mode == "F":
        raise ImageError(415, "UnsupportedImage", "pixels in floating point are not supported; send 8 or 16 bits")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", rgba.size, "white")
        image.paste(rgba, mask=rgba)
    return image if image.mode == "RGB" else image.convert("RGB")
