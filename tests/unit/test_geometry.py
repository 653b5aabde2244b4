"""Where a point of an upload lies in the network's input: the arithmetic, and the truth in pixels."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autotrain_api.bundle import ResolvedPreprocessing
from autotrain_server.geometry import boxes_to_image, boxes_to_model, to_image, to_model
from autotrain_server.preprocess import EXIF_ORIENTATION, TRANSPOSES, read, upright

RESIZES = ("Letterbox", "Squish", "CropToFill")
SIDES = st.integers(1, 5_000)
GREY = 128
"""The level around the white square, which is that of the padding too."""


def preprocessing(height: int, width: int, resize: str, **fields) -> ResolvedPreprocessing:
    return ResolvedPreprocessing(
        height=height, width=width, resize=resize, interpolation="Bilinear", mean=[0.5] * 3, std=[0.5] * 3, **fields
    )


@given(SIDES, SIDES, st.sampled_from((32, 64, 224, 320)), st.sampled_from((32, 96, 224)), st.sampled_from(RESIZES))
def test_there_and_back_is_the_same_point(width, height, model_height, model_width, resize):
    way = preprocessing(model_height, model_width, resize)
    points = np.array([[0.0, 0.0], [width, height], [width / 3, height / 7], [0.5, height - 0.5]])

    back = to_image(to_model(points, width, height, way), width, height, way)

    np.testing.assert_allclose(back, points, atol=1e-6 * max(width, height))


@given(SIDES, SIDES, st.sampled_from(("Letterbox", "Squish")))
def test_the_whole_upload_lies_inside_of_the_input(width, height, resize):
    way = preprocessing(96, 160, resize)

    left, top, right, bottom = boxes_to_model(np.array([0.0, 0.0, width, height]), width, height, way)

    assert -1e-6 <= left < right <= 160 + 1e-6
    assert -1e-6 <= top < bottom <= 96 + 1e-6


def test_boxes_come_back_cut_off_at_the_edges_of_the_upload():
    way = preprocessing(64, 64, "Letterbox")

    found = boxes_to_image(np.array([[-5.0, 0.0, 70.0, 64.0]]), 200, 100, way)

    np.testing.assert_allclose(found, [[0, 0, 200, 100]])


def photograph(width: int, height: int, x: int, y: int, half: int, orientation: int, kind: str) -> bytes:
    """A grey picture whose upright form has a white square around the pixel x, y; stored turned, as cameras do."""
    pixels = np.full((height, width, 3), GREY, np.uint8)
    pixels[y - half : y + half + 1, x - half : x + half + 1] = 255
    image = Image.fromarray(pixels)
    if orientation in TRANSPOSES:
        inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
        image = image.transpose(inverse.get(orientation, TRANSPOSES[orientation]))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def centre_of_light(pixels: np.ndarray) -> np.ndarray:
    """x, y of what is brighter than the grey, weighed by how much."""
    light = pixels.mean(axis=2) - GREY
    light[light < 6] = 0
    rows, columns = np.indices(light.shape) + 0.5
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(150, 700),
    st.integers(150, 700),
    st.floats(0.42, 0.58),
    st.floats(0.42, 0.58),
    st.integers(1, 8),
    st.sampled_from(("JPEG", "PNG")),
    st.sampled_from(RESIZES),
)
def test_what_is_seen_in_the_input_lies_at_its_place_in_the_upload(
    width, height, across, down, orientation, kind, resize
):
    x, y = int(width * across), int(height * down)
    data = photograph(width, height, x, y, 12, orientation, kind)
    way = preprocessing(128, 128, resize)

    picture = read(data, way)
    seen = centre_of_light(picture.pixels)
    found = to_image(seen, picture.width, picture.height, way)

    assert (picture.width, picture.height) == (width, height) == upright(data).size
    assert np.abs(found - [x + 0.5, y + 0.5]).max() <= 0.5


@pytest.mark.parametrize("resize", RESIZES)
def test_a_large_photograph_that_is_decoded_smaller_keeps_its_places(resize):
    data = photograph(4001, 2999, 1500, 1400, 300, 6, "JPEG")
    way = preprocessing(96, 128, resize)

    picture = read(data, way)
    found = to_image(centre_of_light(picture.pixels), 4001, 2999, way)

    assert (picture.width, picture.height) == (4001, 2999)
    assert np.abs(found - [1500.5, 1400.5]).max() <= 0.05 * 4001 / 128
