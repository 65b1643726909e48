"""The size of a GIF: its screen, or its first frame where that is larger (GIF89a)."""

from __future__ import annotations

import struct

from lambdas.runtime.images.stream import WatchedFile

_EXTENSION, _IMAGE = b"!", b","
_HAS_COLOUR_TABLE = 0x80
_MAX_BLOCKS = 50_000
"""Ahead of the image; metadata of 1 MB is 4,000. A million tiny ones would take ten seconds to skip."""


def read_gif_size(file: WatchedFile) -> tuple[int, int]:
    """Width and height in pixels. Raises EOFError where the file ends too early, ValueError where it has no image."""
    file.seek(6)
    width, height, flags = struct.unpack("<HHBxx", file.exactly(7))
    if flags & _HAS_COLOUR_TABLE:
        file.exactly(3 << (flags & 7) + 1)
    blocks = 0
    while (block := file.exactly(1)) == _EXTENSION:
        file.exactly(1)
        while length := file.exactly(1)[0]:
            file.exactly(length)
            blocks += 1
            if blocks > _MAX_BLOCKS:
                raise ValueError("the GIF has more extensions than image")
    if block != _IMAGE:
        raise ValueError("the GIF has no image")
    left, top, frame_width, frame_height = struct.unpack("<HHHH", file.exactly(8))
    return max(width, left + frame_width), max(height, top + frame_height)
