"""Which EXIF fields are kept: what the camera did. Where, by whom, and with which serial number is nobody's business."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL.ExifTags import Base

_MAX_TEXT = 64


def public_exif(tags: Mapping[int, Any]) -> dict[str, Any]:
    """The fields of an EXIF directory that may be kept; each is left out if it is absent or makes no sense.

    camera_make, camera_model; taken_at (ISO 8601 local time, EXIF knows no zone); exposure_seconds; f_number; iso;
    focal_length_mm.
    """
    fields = {
        "camera_make": _text(tags.get(Base.Make)),
        "camera_model": _text(tags.get(Base.Model)),
        "taken_at": _time(tags.get(Base.DateTimeOriginal)),
        "exposure_seconds": _positive(tags.get(Base.ExposureTime)),
        "f_number": _positive(tags.get(Base.FNumber)),
        "iso": _whole(tags.get(Base.ISOSpeedRatings)),
        "focal_length_mm": _positive(tags.get(Base.FocalLength)),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(character for character in value.split("\0")[0] if character.isprintable())
    return printable.strip()[:_MAX_TEXT] or None


def _time(value: Any) -> str | None:
    text = _text(value)
    if text is None:
        return None
    try:
        return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:  # cameras whose clock was never set write zeros or blanks
        return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return float(f"{number:.6g}") if math.isfinite(number) and number > 0 else None


def _whole(value: Any) -> int | None:
    first = value[0] if isinstance(value, tuple) and value else value
    number = _positive(first)
    return None if number is None else round(number)
