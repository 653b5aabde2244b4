"""Answers drawn on a picture, with Pillow."""

import zlib
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000", "#808000", "#000075")
"""Dark enough for white letters."""
LINE_SHARE = 1 / 250
LETTER_SHARE = 1 / 40
"""Width of a line and height of letters, in shorter sides of the picture."""
SMALLEST_LETTERS = 10


def colour_of(label: str) -> str:
    """The same for a label in every picture and process."""
    return COLOURS[zlib.crc32(label.encode()) % len(COLOURS)]


def draw_boxes(image: Image.Image, boxes: Sequence[tuple[str, float, Sequence[float]]]) -> Image.Image:
    """A copy with frames; `boxes` are label, confidence and x0, y0, x1, y1 in pixels, the first one drawn last, on top."""
    drawn = image.convert("RGB")
    draw = ImageDraw.Draw(drawn)
    side = min(image.size)
    line = max(2, round(side * LINE_SHARE))
    font = ImageFont.load_default(max(SMALLEST_LETTERS, round(side * LETTER_SHARE)))
    for label, confidence, (x0, y0, x1, y1) in reversed(boxes):
        colour = colour_of(label)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        _write(draw, f"{label} {confidence:.0%}", (x0, y0), font, colour, image.size)
    return drawn


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: str,
    size: tuple[int, int],
) -> None:
    """Above the corner, or where there is room inside of the picture."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(corner[0], size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 2 - left, y + 2 - top), text, fill="white", font=font)
