"""Reading and decoding a file that may be damaged: what isn't there or doesn't decode is nothing to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

Track = VideoStream | AudioStream


def packets_of(container: InputContainer, tracks: Sequence[Track]) -> Iterator[tuple[Stream, Packet[Any] | None]]:
    """What there is of them, to the end or to where the file breaks off; then None for each, with which its decoder ends.

    Raises MemoryError.
    """
    packets = container.demux(tracks)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            packet = None
        if packet is None:
            break
        if packet.size:
            yield packet.stream, packet
    for track in tracks:
        yield track, None


def frames_of(track: Track, packet: Packet[Any] | None) -> list[Any]:
    """The frames that a packet ends with, or that are left at the end (None). Raises MemoryError."""
    try:
        return list(track.decode(packet))
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return []


def pixels_of(frame: VideoFrame, bytes_each: int) -> bytes:
    """Row by row without gaps. Of a format that has a single plane, with so many bytes a pixel."""
    plane, length = frame.planes[0], frame.width * bytes_each
    rows = bytes(plane)
    return b"".join(rows[start : start + length] for start in range(0, frame.height * plane.line_size, plane.line_size))
