"""Pictures made from a seed: the statistics of photographs, a colour cast for each of ten classes. Also the bundle's data.

A photograph's spectrum falls with the frequency; so does the noise here. Large smooth shapes with hard edges lie on it.
"""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("amber", "azure", "coral", "indigo", "jade", "lime", "olive", "plum", "rust", "slate")
CASTS = np.array(
    [
        (255, 191, 0),
        (0, 127, 255),
        (255, 110, 90),
        (75, 0, 130),
        (0, 168, 107),
        (170, 255, 0),
        (110, 110, 0),
        (150, 60, 140),
        (150, 60, 10),
        (90, 105, 130),
    ],
    dtype=np.float64,
)
"""Class -> the colour its pictures lean to."""
CAST_SHARE = 0.45
FALL = 1.1
"""Amplitude of the noise ~ 1 / frequency ** FALL; photographs have about 1."""
CONTRAST = 45.0
GRAIN = 3.0
SHAPES = 8
QUALITY = 88
SMALL = (640, 480)
TRAINED = (400, 300)
LARGE = (4_000, 3_000)
LARGE_BLOCK = 4
"""The large ones are drawn at a quarter of their side and enlarged, which leaves the grain to be added."""
SERVED = 20
LARGE_COUNT = 4
TRAINED_PER_CLASS = 40


def picture(seed: int, label: int, size: tuple[int, int]) -> Image.Image:
    """One RGB picture of class `label`, `size` = (width, height); the same arguments give the same pixels."""
    random = np.random.default_rng(seed)
    width, height = size
    light = noise(random, height, width)
    tint = np.stack([noise(random, height, width) for _ in range(3)], axis=-1)
    pixels = 110 + CONTRAST * light[..., None] + 0.35 * CONTRAST * tint
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw_shapes(image, random)
    cast = (1 - CAST_SHARE) * np.asarray(image, dtype=np.float64) + CAST_SHARE * CASTS[label]
    cast += random.normal(0, GRAIN, cast.shape)
    return Image.fromarray(cast.clip(0, 255).astype(np.uint8))


def noise(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """float64 [height, width] with mean 0 and deviation 1, its spectrum falling like a photograph's."""
    vertical, horizontal = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    frequency = np.maximum(np.hypot(vertical, horizontal), 1 / max(height, width))
    spectrum = np.fft.rfft2(random.normal(size=(height, width))) / frequency**FALL
    values = np.fft.irfft2(spectrum, (height, width))
    return (values - values.mean()) / values.std()


def draw_shapes(image: Image.Image, random: np.random.Generator) -> None:
    """Ellipses and boxes of any grey, as things with edges."""
    draw = ImageDraw.Draw(image)
    for number in range(SHAPES):
        x, y = random.uniform(0, image.width), random.uniform(0, image.height)
        across, down = random.uniform(0.05, 0.3, 2) * min(image.size)
        grey = int(random.integers(20, 235))
        form = draw.ellipse if number % 2 else draw.rectangle
        form((x - across, y - down, x + across, y + down), fill=(grey, grey, grey))


def large_picture(seed: int, label: int) -> Image.Image:
    """Twelve million pixels."""
    size = (LARGE[0] // LARGE_BLOCK, LARGE[1] // LARGE_BLOCK)
    pixels = np.asarray(picture(seed, label, size).resize(LARGE, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = np.random.default_rng(seed).normal(0, GRAIN, pixels.shape).astype(np.int16)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def served_pictures(folder: Path) -> list[bytes]:
    """JPEGs of 640 x 480, two of each class, kept in `folder`."""
    makers = [partial(picture, 1_000_000 + n, n % len(CLASSES), SMALL) for n in range(SERVED)]
    return [kept(folder / f"served-{number:02}.jpg", maker) for number, maker in enumerate(makers)]


def large_pictures(folder: Path) -> list[bytes]:
    """JPEGs of 4000 x 3000, kept in `folder`."""
    makers = [partial(large_picture, 2_000_000 + n, n % len(CLASSES)) for n in range(LARGE_COUNT)]
    return [kept(folder / f"large-{number:02}.jpg", maker) for number, maker in enumerate(makers)]


def training_pictures(folder: Path) -> None:
    """A folder per class, as the trainer reads it."""
    for label, name in enumerate(CLASSES):
        for number in range(TRAINED_PER_CLASS):
            maker = partial(training_picture, label, number)
            kept(folder / name / f"{number:03}.jpg", maker)


def training_picture(label: int, number: int) -> Image.Image:
    return picture(label * 1_000 + number, label, TRAINED)


def kept(path: Path, make: Callable[[], Image.Image]) -> bytes:
    """The file's bytes; made when it is not there, complete or not at all."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        unfinished.write_bytes(jpeg(make()))
        unfinished.rename(path)
    return path.read_bytes()
