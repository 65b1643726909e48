"""What is in an MP4 file that ffmpeg made here: enough to see, without decoding it, that a browser plays it from its start.

Boxes are those of ISO/IEC 14496-12 and, for avcC, 14496-15. Strangers' files aren't read by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from

_PROFILES_OF_BROWSERS = frozenset({66, 77, 88, 100})
"""H.264's Baseline, Main, Extended and High: 8 bit, 4:2:0."""


@dataclass(frozen=True)
class Mp4:
    """`duration_ms` is the longest track's, `shown_ms` how long the pictures are shown. `first_picture_ms` is later than 0 if
    there is sound before it; `begins_with_keyframe` is about that picture."""

    duration_ms: float
    shown_ms: float
    first_picture_ms: float
    pictures: int
    begins_with_keyframe: bool
    plays_in_browsers: bool
    index_first: bool


def read_mp4(path: Path) -> Mp4:
    """Raises LookupError if a box is missing that every MP4 file with H.264 video has."""
    with path.open("rb") as file:
        order, movie = [], b""
        while len(header := file.read(8)) == 8:
            size, kind = unpack_from(">I4s", header)
            extent = 8
            if size == 1:
                size, extent = unpack_from(">Q", file.read(8))[0], 16
            order.append(kind)
            if kind == b"moov":
                movie = file.read(size - extent)
            else:
                file.seek(size - extent, 1)
    if b"moov" not in order:
        raise LookupError("moov")
    track = _video_track(movie)
    media = _only(track, b"mdia")
    table = _only(_only(media, b"minf"), b"stbl")
    timescale, duration = _timing(_only(movie, b"mvhd"))
    media_timescale, media_duration = _timing(_only(media, b"mdhd"))
    keyframes = next(_boxes(table, b"stss"), None)  # absent where every picture is one
    return Mp4(
        duration_ms=1000 * duration / timescale,
        shown_ms=1000 * media_duration / media_timescale,
        first_picture_ms=1000 * _empty_edit(track) / timescale,
        pictures=unpack_from(">I", _only(table, b"stsz"), 8)[0],
        begins_with_keyframe=keyframes is None or _first(keyframes) == 1,
        plays_in_browsers=_profile(_only(table, b"stsd")) in _PROFILES_OF_BROWSERS,
        index_first=b"mdat" in order and order.index(b"moov") < order.index(b"mdat"),
    )


def _video_track(movie: bytes) -> bytes:
    for track in _boxes(movie, b"trak"):
        if _only(_only(track, b"mdia"), b"hdlr")[8:12] == b"vide":
            return track
    raise LookupError("a video track")


def _timing(header: bytes) -> tuple[int, int]:
    """Units a second, and the duration in them."""
    timescale, duration = unpack_from(">IQ", header, 20) if header[0] == 1 else unpack_from(">II", header, 12)
    return timescale, duration


def _empty_edit(track: bytes) -> int:
    """For how long a track shows nothing before it begins, in the movie's units."""
    for edits in _boxes(next(_boxes(track, b"edts"), b""), b"elst"):
        duration, begins = unpack_from(">Qq", edits, 8) if edits[0] == 1 else unpack_from(">Ii", edits, 8)
        return int(duration) if begins == -1 else 0
    return 0


def _first(keyframes: bytes) -> int:
    return int(unpack_from(">I", keyframes, 8)[0])


def _profile(descriptions: bytes) -> int | None:
    """H.264's profile_idc, None if it is another codec."""
    kind, entry = next(_all_boxes(descriptions[8:]))
    if kind != b"avc1":
        return None
    return _only(entry[78:], b"avcC")[1]


def _only(body: bytes, kind: bytes) -> bytes:
    found = next(_boxes(body, kind), None)
    if found is None:
        raise LookupError(kind.decode())
    return found


def _boxes(body: bytes, kind: bytes) -> Iterator[bytes]:
    return (content for each, content in _all_boxes(body) if each == kind)


def _all_boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(body):
        size, kind = unpack_from(">I4s", body, at)
        yield kind, body[at + 8 : at + size]
        at += max(size, 8)
