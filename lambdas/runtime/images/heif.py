"""The header of a HEIC or AVIF file: the boxes that describe its primary image (ISO/IEC 14496-12 and 23008-12).

Pillow's readers would load the file whole and hand it to a decoder library. What matters here is in the `meta` box:
which item is the primary one, its size, how it is turned and mirrored, where the EXIF block is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lambdas.runtime.images.stream import WatchedFile

MAX_META_BYTES = 4 * 1024 * 1024
"""A photograph's `meta` box has a few KB."""


@dataclass(frozen=True)
class HeifHeader:
    """Size in pixels before the image is turned, EXIF orientation (1–8) of its turning, EXIF block (TIFF structure)."""

    width: int
    height: int
    orientation: int
    exif: bytes = b""


def read_heif_header(file: WatchedFile, size_bytes: int) -> HeifHeader:
    """Raises EOFError where the file ends before what it declares, and ValueError where that makes no sense."""
    meta = _parse_meta(_find_meta(file, size_bytes))
    width = height = 0
    turning = _IDENTITY
    for kind, body in meta.properties_of(meta.primary):
        if kind == b"ispe":
            width, height = _uint(body, 4, 4), _uint(body, 8, 4)
        elif kind == b"clap":
            # A clean aperture crops what the codec's block size had padded.
            clean_width, width_parts, clean_height, height_parts = (_uint(body, at, 4) for at in (0, 4, 8, 12))
            width, height = clean_width // (width_parts or 1), clean_height // (height_parts or 1)
        elif kind == b"irot":
            for _ in range(_uint(body, 0, 1) & 3):
                turning = _compose(_COUNTERCLOCKWISE, turning)
        elif kind == b"imir":
            turning = _compose(_LEFT_RIGHT if _uint(body, 0, 1) & 1 else _TOP_BOTTOM, turning)
    for item in meta.locations.get(meta.primary, ()):
        if item.from_file and item.offset + item.length > size_bytes:
            raise EOFError
    return HeifHeader(width, height, _ORIENTATIONS[turning], _read_exif(file, meta, size_bytes))


def _find_meta(file: WatchedFile, size_bytes: int) -> bytes:
    """Walk over the top-level boxes, all of them, so that a file that was cut is noticed."""
    found = b""
    position = 0
    while position + 8 <= size_bytes:
        file.seek(position)
        head = file.read(16)
        size, kind, header = _uint(head, 0, 4), head[4:8], 8
        if size == 1:
            size, header = _uint(head, 8, 8), 16
        elif size == 0:
            size = size_bytes - position
        if size < header:
            raise ValueError("a box is smaller than its header")
        if position + size > size_bytes:
            raise EOFError
        if kind == b"meta" and not found:
            if size > MAX_META_BYTES:
                raise ValueError("the meta box is too large")
            file.seek(position + header)
            found = file.read(size - header)
        position += size
    if not found:
        raise ValueError("there is no meta box")
    return found


class _Extent(NamedTuple):
    from_file: bool  # or from the `idat` box
    offset: int
    length: int


@dataclass
class _Meta:
    primary: int = 0
    exif_item: int | None = None
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    associations: dict[int, list[int]] = field(default_factory=dict)
    locations: dict[int, list[_Extent]] = field(default_factory=dict)
    data: bytes = b""

    def properties_of(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        for index in self.associations.get(item, []):
            if 0 < index <= len(self.properties):
                yield self.properties[index - 1]


def _parse_meta(body: bytes) -> _Meta:
    meta = _Meta()
    for kind, box in _boxes(body[4:]):
        version = box[0] if box else 0
        if kind == b"pitm":
            meta.primary = _uint(box, 4, 4 if version else 2)
        elif kind == b"iinf":
            meta.exif_item = _find_exif_item(box[8 if version else 6 :])
        elif kind == b"iloc":
            meta.locations = _parse_locations(box)
        elif kind == b"idat":
            meta.data = box
        elif kind == b"iprp":
            for inner, content in _boxes(box):
                if inner == b"ipco":
                    meta.properties = list(_boxes(content))
                elif inner == b"ipma":
                    meta.associations |= _parse_associations(content)
    return meta


def _find_exif_item(entries: bytes) -> int | None:
    for kind, entry in _boxes(entries):
        if kind != b"infe" or entry[0] < 2:
            continue
        id_bytes = 2 if entry[0] == 2 else 4
        if entry[6 + id_bytes : 10 + id_bytes] == b"Exif":
            return _uint(entry, 4, id_bytes)
    return None


def _parse_associations(box: bytes) -> dict[int, list[int]]:
    reader = _Reader(box)
    version, flags = reader.uint(1), reader.uint(3)
    associations = {}
    for _ in range(reader.uint(4)):
        item = reader.uint(4 if version else 2)
        wide = flags & 1
        associations[item] = [reader.uint(2) & 0x7FFF if wide else reader.uint(1) & 0x7F for _ in range(reader.uint(1))]
    return associations


def _parse_locations(box: bytes) -> dict[int, list[_Extent]]:
    reader = _Reader(box)
    version = reader.uint(4) >> 24
    sizes = reader.uint(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    locations = {}
    for _ in range(reader.uint(4 if version == 2 else 2)):
        item = reader.uint(4 if version == 2 else 2)
        construction = reader.uint(2) & 15 if version else 0
        reader.uint(2)  # data reference: other files aren't followed
        base = reader.uint(base_bytes)
        extents = []
        count = reader.uint(2)
        if count * (index_bytes + offset_bytes + length_bytes) < count - 1:
            raise ValueError("extents without an offset and a length take no room: there may be any number")
        for _ in range(count):
            reader.uint(index_bytes)
            offset = base + reader.uint(offset_bytes)
            extents.append(_Extent(construction == 0, offset, reader.uint(length_bytes)))
        locations[item] = extents
    return locations


def _read_exif(file: WatchedFile, meta: _Meta, size_bytes: int) -> bytes:
    """The EXIF item holds the offset of the TIFF structure, from after the offset itself, then the block."""
    block = b""
    for extent in meta.locations.get(meta.exif_item or 0, []):
        if not extent.from_file:
            block += meta.data[extent.offset : extent.offset + extent.length]
        elif extent.offset < size_bytes:
            file.seek(extent.offset)
            block += file.read(min(extent.length, MAX_META_BYTES))
    return block[4 + _uint(block, 0, 4) :] if len(block) > 4 else b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size = _uint(data, position, 4) or len(data) - position
        if size < 8 or position + size > len(data):
            raise ValueError("a box reaches beyond the one that holds it")
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size


def _uint(data: bytes, at: int, length: int) -> int:
    if at + length > len(data):
        raise ValueError("a box ends too early")
    return int.from_bytes(data[at : at + length], "big")


class _Reader:
    """Big-endian unsigned integers, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def uint(self, length: int) -> int:
        value = _uint(self._data, self._position, length)
        self._position += length
        return value


# How a point (x, y) moves, y pointing down: (a, b, c, d) sends it to (ax + by, cx + dy).
_Turning = tuple[int, int, int, int]
_IDENTITY = (1, 0, 0, 1)
_LEFT_RIGHT = (-1, 0, 0, 1)
_TOP_BOTTOM = (1, 0, 0, -1)
_COUNTERCLOCKWISE = (0, 1, -1, 0)
_ORIENTATIONS: dict[_Turning, int] = {
    _IDENTITY: 1,
    _LEFT_RIGHT: 2,
    (-1, 0, 0, -1): 3,
    _TOP_BOTTOM: 4,
    (0, 1, 1, 0): 5,
    (0, -1, 1, 0): 6,
    (0, -1, -1, 0): 7,
    _COUNTERCLOCKWISE: 8,
}


def _compose(then: _Turning, first: _Turning) -> _Turning:
    a, b, c, d = then
    e, f, g, h = first
    return (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)
