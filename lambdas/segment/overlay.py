"""The layer that is put over a segment: a text, white with a black outline, on nothing.

The text is wrapped, centred, and stands in the lower third of the frame, 5 % away from each edge. It is as large as a
caption usually is, and smaller only where words would have to be torn or it would take more than 40 % of the height.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from lambdas.runtime.overlay_text import UnusableText, checked, needs_shaping
from lambdas.segment.wrapping import wrap

FONT = Path(__file__).parents[1] / "fonts" / "overlay-sans.ttf"
MARGIN = 0.05
"""Of width and height, at each side."""
USUAL_SIZE, SMALLEST_SIZE = 0.06, 0.025
"""Of the frame's shorter side."""
SMALLEST_PIXELS = 8
HIGHEST = 0.4
"""Of the frame's height."""
_STEP = 0.9
_LINE = 1.25
_OUTLINE = 0.08
"""Of the font's size."""


@dataclass(frozen=True)
class _Line:
    text: str
    direction: str | None
    baseline: int
    left: int
    top: int
    right: int
    bottom: int
    """Where its ink is, outline included, when it begins at 0 and the first line's baseline is at 0."""


def render(text: str, width: int, height: int) -> Image.Image:
    """RGBA of `width` × `height` pixels, transparent but for the text. The same text and size give the same pixels.

    Raises UnusableText as `checked` does, for a text that can't be shaped here, and for one that doesn't fit.
    """
    text = checked(text)
    shaped = bool(features.check("raqm"))
    if not shaped and needs_shaping(text):
        raise UnusableText("text that runs from right to left, or has combining marks, needs FriBiDi, which isn't here")
    safe_width = math.floor(width * (1 - MARGIN)) - math.ceil(width * MARGIN)
    highest = math.floor(height * HIGHEST)
    for tears_words in (False, True):
        for size in _sizes(min(width, height)):
            lines = _lines(text, size, safe_width, shaped=shaped, tears_words=tears_words)
            if lines and _extent(lines) <= highest:
                return _drawn(lines, size, width, height)
    raise UnusableText(f"the text doesn't fit into a frame of {width} × {height} pixels")


def _sizes(side: int) -> list[int]:
    """Sizes in pixels to try, largest first."""
    smallest = max(SMALLEST_PIXELS, round(side * SMALLEST_SIZE))
    sizes = [max(smallest, round(side * USUAL_SIZE))]
    while sizes[-1] > smallest:
        sizes.append(max(smallest, math.floor(sizes[-1] * _STEP)))
    return sizes


def _lines(text: str, size: int, width: int, *, shaped: bool, tears_words: bool) -> list[_Line] | None:
    """The text in lines no wider than `width`; None if a word would have to be torn and mayn't."""
    font, outline = _font(size), _outline(size)
    lines = []
    baseline = 0
    for paragraph in text.split("\n"):
        direction = _direction(paragraph) if shaped else None

        def ink(line: str, direction: str | None = direction) -> tuple[int, int, int, int]:
            left, top, right, bottom = font.getbbox(line, direction=direction, stroke_width=outline, anchor="ls")
            return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)

        def fits(line: str) -> bool:
            left, _, right, _ = ink(line)
            return right - left <= width

        wrapped = wrap(paragraph, fits, tears_words=tears_words)
        if wrapped is None:
            return None
        for line in wrapped:
            if line:
                left, top, right, bottom = ink(line)
                lines.append(_Line(line, direction, baseline, left, baseline + top, right, baseline + bottom))
            baseline += round(size * _LINE)
    return lines


def _extent(lines: list[_Line]) -> int:
    """The height of their ink in pixels."""
    return max(line.bottom for line in lines) - min(line.top for line in lines)


def _drawn(lines: list[_Line], size: int, width: int, height: int) -> Image.Image:
    image = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(image)
    lowest = math.floor(height * (1 - MARGIN))
    middle = (height * 2 // 3 + lowest) // 2
    top = min(middle - _extent(lines) // 2, lowest - _extent(lines)) - min(line.top for line in lines)
    # All outlines first: a line's would lie upon the letters above it.
    for fill, outline in (("black", _outline(size)), ("white", 0)):
        for line in lines:
            x = (width - (line.right - line.left)) // 2 - line.left
            draw.text(
                (x, top + line.baseline),
                line.text,
                fill=fill,
                font=_font(size),
                anchor="ls",
                direction=line.direction,
                stroke_width=outline,
            )
    return image


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


def _outline(size: int) -> int:
    return max(1, round(size * _OUTLINE))


def _direction(paragraph: str) -> str:
    """That of the first letter that has one (Unicode Standard Annex 9, rules P2 and P3): all its lines have it."""
    for character in paragraph:
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return "ltr"
