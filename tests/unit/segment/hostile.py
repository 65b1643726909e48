"""Files that want ffmpeg to open something else than themselves, or that aren't whole."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack


def playlists(url: str, path: str) -> dict[str, bytes]:
    """Texts that FFmpeg takes for videos if it may choose, and that name a host and a file."""
    return {
        "hls": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1.0,\n{url}\n#EXTINF:1.0,\nfile://{path}\n#EXT-X-ENDLIST\n".encode(),
        "ffconcat": f"ffconcat version 1.0\nfile {path}\nfile {url}\n".encode(),
        "dash": f'<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>'.encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "image sequence": path.encode(),
    }


def with_media_elsewhere(mov: bytes, path: str) -> bytes:
    """A QuickTime file, its index last, whose track says that its media are in another file: a data reference of kind
    `alis` (QuickTime File Format, "Data Reference Atoms") with an absolute path."""
    chain = list(_find(mov, 0, len(mov), [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]))
    at, size = chain[-1]
    name, long_path = b"other.mov", path.encode() + b"\0" * (len(path) % 2)
    alias = (
        bytes(10) + b"\x04disk" + bytes(23) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
        + pack(">HH", 1, 1) + bytes(16) + pack(">HH", 2, len(path)) + long_path + pack(">HH", 0xFFFF, 0)
    )  # fmt: skip
    entry = pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    reference = pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    changed = bytearray(mov[:at] + reference + mov[at + size :])
    for outer, outer_size in chain[:-1]:
        changed[outer : outer + 4] = pack(">I", outer_size + len(reference) - size)
    return bytes(changed)


def without_index(mp4: bytes) -> bytes:
    return mp4[: mp4.rindex(b"moov") - 4]


def with_duration(mp4: bytes, units: int) -> bytes:
    """An MP4 whose movie and tracks say how long they are in their own units."""
    changed = bytearray(mp4)
    for kind, at in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        start = -1
        while (start := mp4.find(kind, start + 1)) >= 0:
            changed[start + at : start + at + 4] = pack(">I", units)
    return bytes(changed)


def _find(body: bytes, at: int, end: int, names: list[bytes]) -> Iterator[tuple[int, int]]:
    while at + 8 <= end:
        size = int.from_bytes(body[at : at + 4], "big")
        if body[at + 4 : at + 8] == names[0]:
            yield at, size
            if names[1:]:
                yield from _find(body, at + 8, at + size, names[1:])
            return
        at += size
