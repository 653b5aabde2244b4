import contextlib
import io
import math
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_server.geometry import region_of
from autotrain_server.preprocess import ImageError, PixelBudget, decode

RESIZES = ("CropToFill", "Squish", "Letterbox")
SIDES = st.integers(1, 4000)


def preprocessing(height: int = 32, width: int = 32, resize: str = "CropToFill", **fields) -> ResolvedPreprocessing:
    defaults = {"interpolation": "Bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    return ResolvedPreprocessing.model_validate(
        defaults | {"height": height, "width": width, "resize": resize} | fields
    )


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(mode: str = "RGB", size: tuple[int, int] = (64, 32)) -> Image.Image:
    """Black on the left, white on the right."""
    image = Image.new(mode, size, 0)
    image.paste(Image.new(mode, (size[0] // 2, size[1]), "white"), (size[0] // 2, 0))
    return image


# --- where the network looks


@given(SIDES, SIDES, st.integers(1, 512), st.integers(1, 512), st.sampled_from(RESIZES), st.floats(0.1, 1))
def test_the_network_never_looks_outside_of_the_picture(width, height, target_width, target_height, resize, crop):
    region = region_of(width, height, preprocessing(target_height, target_width, resize, crop_fraction=crop))
    left, top, right, bottom = region.box

    assert 0 <= left < right <= width + 1e-6
    assert 0 <= top < bottom <= height + 1e-6
    assert 1 <= region.width <= target_width
    assert 1 <= region.height <= target_height


@given(SIDES, SIDES, st.integers(8, 512), st.integers(8, 512))
def test_a_crop_keeps_the_shape_of_things_and_the_centre(width, height, target_width, target_height):
    region = region_of(width, height, preprocessing(target_height, target_width, crop_fraction=0.9))
    left, top, right, bottom = region.box

    assert math.isclose((right - left) / region.width, (bottom - top) / region.height, rel_tol=1e-6)
    assert math.isclose(left + right, width, abs_tol=1e-6)
    assert math.isclose(top + bottom, height, abs_tol=1e-6)


@given(SIDES, SIDES)
def test_a_letterbox_shows_everything(width, height):
    region = region_of(width, height, preprocessing(64, 64, "Letterbox"))

    assert region.box == (0, 0, width, height)
    assert 64 in (region.width, region.height)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (640, 480)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_size_of_picture_becomes_the_network_s(resize, size, kind):
    pixels = decode(encoded(Image.new("RGB", size, "red"), kind), preprocessing(24, 40, resize))

    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8


def test_a_letterbox_is_grey_around_the_picture():
    pixels = decode(encoded(Image.new("RGB", (64, 32), "red")), preprocessing(resize="Letterbox"))

    assert pixels[0, 0].tolist() == [128, 128, 128]
    assert pixels[16, 16].tolist() == [255, 0, 0]


# --- kinds of pictures


ORANGE = Image.new("RGB", (16, 16), (200, 100, 50))
HALF_RED = Image.new("RGBA", (16, 16), (255, 0, 0, 128))
HALF_BLACK = Image.new("LA", (16, 16), (0, 128))
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (16, 16), "blue")]}


def palette() -> Image.Image:
    """The first colour, orange, everywhere."""
    image = Image.new("P", (16, 16), 0)
    image.putpalette([200, 100, 50, 0, 0, 255])
    return image


def deep(level: int, kind: type[np.generic] = np.uint16) -> Image.Image:
    return Image.fromarray(np.full((16, 16), level, kind))


def deep_png(colour: int, *samples: int) -> bytes:
    """One pixel of 16 bits for each sample; Pillow writes only the grey ones."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, colour, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(b"\0" + struct.pack(f">{len(samples)}H", *samples))), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


FILES = {
    "jpeg": (encoded(ORANGE, "JPEG", quality=95), (200, 100, 50)),
    "progressive jpeg": (encoded(ORANGE, "JPEG", progressive=True, quality=95), (200, 100, 50)),
    "cmyk jpeg": (encoded(ORANGE.convert("CMYK"), "JPEG", quality=95), (200, 100, 50)),
    "grey jpeg": (encoded(Image.new("L", (16, 16), 77), "JPEG"), (77, 77, 77)),
    "png": (encoded(ORANGE), (200, 100, 50)),
    "grey png": (encoded(Image.new("L", (16, 16), 77)), (77, 77, 77)),
    "black and white png": (encoded(Image.new("1", (16, 16), 1)), (255, 255, 255)),
    "16 bit grey png": (encoded(deep(0x80FF)), (0x80, 0x80, 0x80)),
    "dark 16 bit grey png": (encoded(deep(200)), (0, 0, 0)),
    "16 bit rgb png": (deep_png(2, 0x8000, 0x4000, 0xFFFF), (0x80, 0x40, 0xFF)),
    "16 bit rgba png": (deep_png(6, 0xFFFF, 0, 0, 0x8000), (255, 127, 127)),
    "16 bit grey and alpha png": (deep_png(4, 0, 0x8000), (127, 127, 127)),
    "palette png": (encoded(palette()), (200, 100, 50)),
    "palette png with a transparent colour": (encoded(palette(), transparency=0), (255, 255, 255)),
    "palette png with alpha": (encoded(palette(), transparency=bytes([128, 255])), (227, 177, 152)),
    "png with a transparent colour": (encoded(ORANGE, transparency=(200, 100, 50)), (255, 255, 255)),
    "rgba png": (encoded(HALF_RED), (255, 127, 127)),
    "grey and alpha png": (encoded(HALF_BLACK), (127, 127, 127)),
    "animated png": (encoded(ORANGE, **FRAMES), (200, 100, 50)),
    "lossy webp": (encoded(ORANGE, "WEBP", quality=95), (200, 100, 50)),
    "lossless webp": (encoded(ORANGE, "WEBP", lossless=True), (200, 100, 50)),
    "webp with alpha": (encoded(HALF_RED, "WEBP", lossless=True), (255, 127, 127)),
    "animated webp": (encoded(ORANGE, "WEBP", lossless=True, **FRAMES), (200, 100, 50)),
    "gif": (encoded(palette(), "GIF"), (200, 100, 50)),
    "transparent gif": (encoded(palette(), "GIF", transparency=0), (255, 255, 255)),
    "animated gif": (encoded(ORANGE, "GIF", **FRAMES), (200, 100, 50)),
    "bmp": (encoded(ORANGE, "BMP"), (200, 100, 50)),
    "black and white bmp": (encoded(Image.new("1", (16, 16), 1), "BMP"), (255, 255, 255)),
    "tiff": (encoded(ORANGE, "TIFF", compression="tiff_lzw"), (200, 100, 50)),
    "cmyk tiff": (encoded(ORANGE.convert("CMYK"), "TIFF"), (200, 100, 50)),
    "16 bit grey tiff": (encoded(deep(0x80FF), "TIFF"), (0x80, 0x80, 0x80)),
    "32 bit tiff with 16 bits in use": (encoded(deep(0x80FF, np.int32), "TIFF"), (0x80, 0x80, 0x80)),
    "32 bit tiff with 8 bits in use": (encoded(deep(77, np.int32), "TIFF"), (77, 77, 77)),
    "fax": (encoded(Image.new("1", (16, 16), 1), "TIFF", compression="group4"), (255, 255, 255)),
    "tiff with alpha": (encoded(HALF_RED, "TIFF"), (255, 127, 127)),
    "tiff of several pages": (encoded(ORANGE, "TIFF", **FRAMES), (200, 100, 50)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_its_colour(name):
    data, colour = FILES[name]

    assert np.abs(decode(data, preprocessing()).astype(int) - colour).max() <= 2


def test_greyscale_is_the_same_in_three_channels():
    pixels = decode(encoded(halves("L")), preprocessing(resize="Squish"))

    assert pixels[:, 0].max() == 0
    assert pixels[:, -1].min() == 255


STORED = {1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB", 5: "ACBD", 6: "BDAC", 7: "DBCA", 8: "CADB"}
"""EXIF orientation -> the quarters of an upright AB over CD as the file has them, by the definition of its row 0 and column 0."""
QUARTERS = {"A": "red", "B": "lime", "C": "blue", "D": "white"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_a_picture_upright(kind, orientation):
    stored, exif = Image.new("RGB", (64, 64)), Image.Exif()
    for place, quarter in enumerate(STORED[orientation]):
        stored.paste(
            QUARTERS[quarter], (32 * (place % 2), 32 * (place // 2), 32 * (place % 2 + 1), 32 * (place // 2 + 1))
        )
    exif[0x0112] = orientation

    pixels = decode(encoded(stored, kind, exif=exif), preprocessing()).astype(int)

    for place, colour in enumerate(QUARTERS.values()):
        found = pixels[8 + 16 * (place // 2), 8 + 16 * (place % 2)]
        assert np.abs(found - ImageColor.getrgb(colour)).max() < 15


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x09"])
def test_damaged_exif_does_not_cost_the_picture(kind, exif):
    picture = Image.new("RGB", (40, 20), "red")
    whole = decode(encoded(picture, kind, dpi=(72, 72)), preprocessing())

    assert np.array_equal(decode(encoded(picture, kind, dpi=(72, 72), exif=exif), preprocessing()), whole)


def test_what_a_decoder_raises_unforeseen_is_a_damaged_picture(monkeypatch):
    def fail(self: Image.Image) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(ImageError, match="the PNG picture is truncated or damaged"):
        decode(encoded(halves()), preprocessing())


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_may_have_a_hundred_scans(progressive):
    data = encoded(halves(), "JPEG", progressive=progressive)
    scan = data[data.rindex(b"\xff\xda") :].removesuffix(b"\xff\xd9")

    assert decode(data + scan * (100 - data.count(b"\xff\xda")), preprocessing()).shape == (32, 32, 3)
    with pytest.raises(ImageError, match="at most 100 are allowed") as refused:
        decode(data + scan * 100, preprocessing())
    assert refused.value.reason == "TooManyScans"


def test_a_large_jpeg_scaled_while_decoding_looks_like_the_whole_one():
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    data = encoded(small.resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=95)
    scaled = decode(data, preprocessing(64, 64))
    whole = decode(data, preprocessing(64, 64, decode_scale=1000))

    assert np.abs(scaled.astype(int) - whole.astype(int)).mean() < 3


# --- what is no picture


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 400, "EmptyImage"),
        (b"<html></html>", 415, "NotAnImage"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(64), 415, "UnsupportedImage"),
        (encoded(Image.new("RGB", (8, 8)), "AVIF"), 415, "UnsupportedImage"),
        (encoded(Image.new("F", (8, 8), 0.5), "TIFF"), 415, "UnsupportedImage"),
        (encoded(halves(), "PNG")[:-60], 422, "DamagedImage"),
        (encoded(halves(size=(400, 200)), "JPEG")[:700], 422, "DamagedImage"),
        (encoded(Image.new("RGB", (400, 300))), 413, "TooManyPixels"),
    ],
    ids=["empty", "page", "heic", "avif", "float tiff", "cut png", "cut jpeg", "large"],
)
def test_what_is_no_picture_is_refused_with_its_reason(data, status, reason):
    with pytest.raises(ImageError) as caught:
        decode(data, preprocessing(), max_pixels=100_000)

    assert (caught.value.status, caught.value.reason) == (status, reason)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]), st.data())
def test_any_bytes_are_a_picture_or_an_image_error(noise, kind, data):
    picture = bytearray(encoded(halves(size=(8, 8)), kind))
    place = data.draw(st.integers(0, len(picture)))
    picture[place : place + len(noise)] = noise

    with contextlib.suppress(ImageError):
        assert decode(bytes(picture), preprocessing()).shape == (32, 32, 3)


def test_pixels_beyond_the_budget_wait_for_those_before_them():
    budget = PixelBudget(10)
    entered = threading.Event()

    def second() -> None:
        with budget.take(5):
            entered.set()

    with budget.take(20):
        thread = threading.Thread(target=second)
        thread.start()
        early = entered.wait(0.05)
    thread.join()

    assert not early
    assert entered.is_set()
