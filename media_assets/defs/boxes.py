"""Detections drawn on a small picture: a box and a label each, in the label's colour."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

MOST_BOXES = 12
"""On one picture; more than that hide it."""
_LINE_PX = 2
_TEXT_PX = 11
_PADDING_PX = 2
# Told apart on photographs, and by people who see few colours: Okabe and Ito's, without black.
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class Box:
    """A detection. `x`, `y`, `width` and `height` are in pixels of the upright original."""

    label: str
    confidence: float
    x: int
    y: int
    width: int
    height: int


def with_boxes(picture: Image.Image, boxes: Sequence[Box], width: int, height: int) -> Image.Image:
    """An RGB copy of the picture, with boxes of the original of `width` by `height` scaled to it, most confident first.

    A label stands at its box where it covers no other label; where there is no such place the box has none.
    """
    drawn = picture.convert("RGB")
    canvas = ImageDraw.Draw(drawn)
    boxes = boxes[:MOST_BOXES]
    scaled = [_scaled(box, drawn.width / width, drawn.height / height, drawn.size) for box in boxes]
    for box, rectangle in reversed([*zip(boxes, scaled, strict=True)]):  # the most confident on top
        left, top, right, bottom = rectangle
        canvas.rectangle((left, top, right - 1, bottom - 1), outline=_colour(box.label), width=_LINE_PX)
    taken: list[Rectangle] = []
    for box, rectangle in zip(boxes, scaled, strict=True):
        text = _fitting(f"{_in_a_line(box.label)} {box.confidence:.0%}", drawn.width)
        place = _place(rectangle, _size(text), drawn.size, taken)
        if place is not None:
            taken.append(place)
            colour = _colour(box.label)
            canvas.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=colour)
            canvas.text((place[0] + _PADDING_PX, place[1] + _PADDING_PX), text, fill=_ink(colour), font=_font(), anchor="lt")
    return drawn


def _scaled(box: Box, across: float, down: float, size: tuple[int, int]) -> Rectangle:
    """Within the picture, and large enough to be seen."""
    least = 2 * _LINE_PX + 1
    left = max(0, min(round(box.x * across), size[0] - least))
    top = max(0, min(round(box.y * down), size[1] - least))
    right = min(size[0], max(round((box.x + box.width) * across), left + least))
    bottom = min(size[1], max(round((box.y + box.height) * down), top + least))
    return (left, top, right, bottom)


def _place(box: Rectangle, text: tuple[int, int], size: tuple[int, int], taken: Sequence[Rectangle]) -> Rectangle | None:
    """Above the box, else inside at its top or bottom, else below: the first that is in the picture and free."""
    width, height = text
    left = max(0, min(box[0], size[0] - width))
    for top in (box[1] - height, box[1], box[3] - height, box[3]):
        place = (left, top, left + width, top + height)
        if 0 <= top <= size[1] - height and not any(_overlap(place, other) for other in taken):
            return place
    return None


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _in_a_line(label: str) -> str:
    return "".join(each if each.isprintable() else " " for each in label)


def _fitting(text: str, width: int) -> str:
    """The text cut to what a picture of this width has room for."""
    while _size(text)[0] > width and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _size(text: str) -> tuple[int, int]:
    """Of a label with its background. One height for all, so that labels look alike."""
    left, _, right, _ = _font().getbbox(text, anchor="lt")
    _, top, _, bottom = _font().getbbox("Ap", anchor="lt")
    return (round(right - left) + 2 * _PADDING_PX, round(bottom - top) + 2 * _PADDING_PX)


def _colour(label: str) -> tuple[int, int, int]:
    return _COLOURS[zlib.crc32(label.encode()) % len(_COLOURS)]


def _ink(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever is read better on the colour: by relative luminance, as WCAG 2 weighs it."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in colour)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_PX)
