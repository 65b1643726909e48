"""A thing found in a picture, and which of several findings are the same thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Two boxes that overlap by more than this (intersection over union) are one thing: of one class, of two.
_SAME_CLASS_OVERLAP = 0.6
_OTHER_CLASS_OVERLAP = 0.8


@dataclass(frozen=True)
class Detection:
    """A thing by the name of its class. Edges are fractions of the picture's sides and may lie slightly outside of 0–1."""

    name: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """The part of the picture that it covers."""
        width = min(self.right, 1) - max(self.left, 0)
        height = min(self.bottom, 1) - max(self.top, 0)
        return max(width, 0) * max(height, 0)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """x, y, width and height in pixels of a picture of that size, rounded and cut to it; None if nothing is left."""
        x0, x1 = (min(max(round(edge * width), 0), width) for edge in (self.left, self.right))
        y0, y1 = (min(max(round(edge * height), 0), height) for edge in (self.top, self.bottom))
        return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def distinct(found: Iterable[Detection], most: int) -> list[Detection]:
    """The `most` most confident ones, in that order, without those that a more confident one already covers."""
    kept: list[Detection] = []
    for candidate in sorted(found, key=lambda detection: -detection.confidence):
        if len(kept) == most:
            break
        if not any(_is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def _is_same(a: Detection, b: Detection) -> bool:
    return _overlap(a, b) > (_SAME_CLASS_OVERLAP if a.name == b.name else _OTHER_CLASS_OVERLAP)


def _overlap(a: Detection, b: Detection) -> float:
    """Intersection over union."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (a, b))
    return width * height / (areas - width * height)
