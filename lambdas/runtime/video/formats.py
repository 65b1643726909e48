"""Which video containers are accepted, and how a file's first bytes tell them apart. A file's name says nothing.

FFmpeg would find out by itself, but among the formats it knows are playlists, which name other files and hosts: whoever
opens a video forces the demuxer of the format that was found here.
"""

from __future__ import annotations

import re
from enum import StrEnum


class VideoFormat(StrEnum):
    """An accepted container."""

    MP4 = "mp4"
    MOV = "mov"
    MKV = "mkv"
    WEBM = "webm"
    AVI = "avi"
    TS = "ts"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]

    @property
    def demuxer(self) -> str:
        """What FFmpeg calls the demuxer that reads it: `av.open(…, format=…)`, `ffmpeg -f … -i …`."""
        return _DEMUXERS[self]


_CONTENT_TYPES = {
    VideoFormat.MP4: "video/mp4",
    VideoFormat.MOV: "video/quicktime",
    VideoFormat.MKV: "video/x-matroska",
    VideoFormat.WEBM: "video/webm",
    VideoFormat.AVI: "video/x-msvideo",
    VideoFormat.TS: "video/mp2t",
}
_DEMUXERS = {
    VideoFormat.MP4: "mov",
    VideoFormat.MOV: "mov",
    VideoFormat.MKV: "matroska",
    VideoFormat.WEBM: "matroska",
    VideoFormat.AVI: "avi",
    VideoFormat.TS: "mpegts",
}

SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})
_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"crx "})
_PICTURE_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"hevm", b"hevs"})
_NO_VIDEO_BRANDS = SOUND_BRANDS | _PICTURE_BRANDS | _PICTURE_SEQUENCE_BRANDS

_MATROSKA = b"\x1a\x45\xdf\xa3"
_DOCUMENT_TYPE = re.compile(rb"\x42\x82(?:[\x80-\xff]|\x40.)(webm|matroska)", re.DOTALL)
_QUICKTIME_BOXES = re.compile(rb"\0...(moov|mdat|wide|free|skip|pnot)", re.DOTALL)
_AVI = re.compile(rb"RIFF....AVI ", re.DOTALL)
_TS = re.compile(rb"(\x47.{187}){2}\x47|.{4}(\x47.{191}){2}\x47", re.DOTALL)
"""Packets of 188 bytes, or of 192 with a time stamp ahead of each (Blu-ray, AVCHD)."""


def sniff_video(head: bytes) -> VideoFormat | None:
    """The container of a file that begins with `head` (512 bytes are enough), None if it is none of the accepted ones."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _NO_VIDEO_BRANDS:
            return None
        return VideoFormat.MOV if brand == b"qt  " else VideoFormat.MP4
    if _QUICKTIME_BOXES.match(head):  # QuickTime from before brands
        return VideoFormat.MOV
    if head.startswith(_MATROSKA):
        found = _DOCUMENT_TYPE.search(head)
        return found and (VideoFormat.WEBM if found[1] == b"webm" else VideoFormat.MKV)
    if _AVI.match(head):
        return VideoFormat.AVI
    return VideoFormat.TS if _TS.match(head) else None
