"""The header of a WebP file: a RIFF container (RFC 9649). Pillow's reader would load the file whole."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.runtime.images.stream import WatchedFile

_HAS_EXIF = 0x08


@dataclass(frozen=True)
class WebpHeader:
    """Size of the canvas in pixels, the bytes the file should have at least, and its EXIF block (TIFF structure)."""

    width: int
    height: int
    declared_bytes: int
    exif: bytes = b""


def read_webp_header(file: WatchedFile) -> WebpHeader:
    """Raises EOFError where the file ends too early and ValueError where it isn't WebP."""
    file.seek(0)
    declared_bytes = int.from_bytes(file.exactly(12)[4:8], "little") + 8
    name, size = _chunk(file)
    body = file.exactly(min(size, 10))
    if name == b"VP8 ":
        if body[3:6] != b"\x9d\x01\x2a":
            raise ValueError("the VP8 frame has no start code")
        width = int.from_bytes(body[6:8], "little") & 0x3FFF
        height = int.from_bytes(body[8:10], "little") & 0x3FFF
    elif name == b"VP8L":
        if body[:1] != b"\x2f":
            raise ValueError("the VP8L frame has no signature")
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif name == b"VP8X":
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        if body[0] & _HAS_EXIF:
            exif = _find_exif(file, 20 + size + size % 2, declared_bytes)
            return WebpHeader(width, height, declared_bytes, exif)
    else:
        raise ValueError("the first chunk is none that begins a WebP image")
    return WebpHeader(width, height, declared_bytes)


def _find_exif(file: WatchedFile, position: int, end: int) -> bytes:
    while position + 8 <= end:
        file.seek(position)
        name, size = _chunk(file)
        if name == b"EXIF":
            return file.exactly(size)
        position += 8 + size + size % 2
    return b""


def _chunk(file: WatchedFile) -> tuple[bytes, int]:
    header = file.exactly(8)
    return header[:4], int.from_bytes(header[4:], "little")
