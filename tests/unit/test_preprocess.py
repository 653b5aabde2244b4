import contextlib
import io
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

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


def test_greyscale_is_the_same_in_three_channels():
    pixels = decode(encoded(halves("L")), preprocessing(resize="Squish"))

    assert pixels[:, 0].max() == 0
    assert pixels[:, -1].min() == 255


def test_sixteen_bits_keep_their_high_byte():
    levels = np.full((8, 8), 0x8000, np.uint16)

    assert decode(encoded(Image.fromarray(levels)), preprocessing()).max() == 0x80


def test_transparent_is_white():
    assert decode(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), preprocessing()).min() == 255


def test_cmyk_becomes_rgb():
    pixels = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95), preprocessing())

    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() < 30


def test_a_palette_becomes_rgb():
    pixels = decode(encoded(Image.new("RGB", (8, 8), "blue").convert("P"), "GIF"), preprocessing())

    assert pixels[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("orientation", "white"), [(1, (16, 31)), (3, (16, 0)), (6, (31, 16)), (8, (0, 16))])
def test_exif_turns_a_picture_upright(kind, orientation, white):
    exif = Image.Exif()
    exif[0x0112] = orientation

    pixels = decode(encoded(halves(), kind, exif=exif), preprocessing(resize="Squish"))

    assert pixels[white].min() > 240
    assert pixels[31 - white[0], 31 - white[1]].max() < 15


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
        (encoded(halves(), "PNG")[:-60], 422, "DamagedImage"),
        (encoded(halves(size=(400, 200)), "JPEG")[:700], 422, "DamagedImage"),
        (encoded(Image.new("RGB", (400, 300))), 413, "TooManyPixels"),
    ],
    ids=["empty", "page", "heic", "cut png", "cut jpeg", "large"],
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


def test_half_transparent_lies_over_white():
    pixels = decode(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 128))), preprocessing())

    assert pixels[0, 0].tolist() == [255, 127, 127]


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
