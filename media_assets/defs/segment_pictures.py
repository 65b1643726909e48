"""What segments show, for contact sheets. They may be copies of a user's bytes: the function `inspect` decodes them, and its
small pictures are taken for what they should be only after their headers were read here."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

from botocore.exceptions import BotoCoreError
from PIL import Image

from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.inspection import HURRIED, Inspector
from media_assets.settings import Settings

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAME, _SCAN = 0xFFC0, 0xFFDA
_BEFORE_THE_SCAN = {0xFFE0, 0xFFDB, _FRAME, 0xFFC4}
"""JFIF's header, quantization tables, a baseline frame, Huffman tables (ITU-T T.81, B.2). Nothing that holds metadata, or a
second picture."""


def segment_pictures(settings: Settings, keys: Sequence[str], side_px: int) -> Mapping[str, Image.Image | None]:
    """By key: what each segment begins with, in RGB, no side longer than `side_px`; None for one of which nothing decodes.

    Those that nobody could look into, or not in time, aren't there; without the function, none is.
    """
    try:
        told = Inspector(settings, config=HURRIED).pictures(keys, side_px)
    except (TargetUnavailableError, BotoCoreError):
        return {}
    found: dict[str, Image.Image | None] = {}
    for key, jpeg in told.items():
        try:
            found[key] = None if jpeg is None else decoded(jpeg, side_px)
        except (OSError, SyntaxError, ValueError, struct.error):
            continue  # it makes no sense: as if nobody had looked
    return found


def decoded(jpeg: bytes, side_px: int) -> Image.Image:
    """Raises ValueError for anything but a baseline JPEG in three colours without metadata, of `side_px` × `side_px` at most,
    before it is decoded; and OSError, SyntaxError or struct.error for one that is broken."""
    size = _size(jpeg)
    if not 0 < min(size) <= max(size) <= side_px:
        raise ValueError(f"the picture has {size[0]} × {size[1]} pixels, where {side_px} are the most a side may have")
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
        if (image.format, image.mode, image.size) != ("JPEG", "RGB", size):
            raise ValueError(f"the picture is {image.format} in {image.mode} of {image.size}")
        return image.copy()


def _size(jpeg: bytes) -> tuple[int, int]:
    size, at = (0, 0), len(_START)
    if not (jpeg.startswith(_START) and jpeg.endswith(_END)):
        raise ValueError("the picture isn't a whole JPEG")
    while True:
        marker, length = struct.unpack_from(">HH", jpeg, at)
        if marker == _SCAN:
            return size
        if marker not in _BEFORE_THE_SCAN or length < 2 or (marker == _FRAME and size != (0, 0)):
            raise ValueError(f"the picture has the marker {marker:04X} where none may be")
        if marker == _FRAME:
            precision, height, width, components = struct.unpack_from(">BHHB", jpeg, at + 4)
            if (precision, components) != (8, 3):
                raise ValueError(f"the picture has {components} colours of {precision} bit")
            size = (width, height)
        at += 2 + length
