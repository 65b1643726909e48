"""Decoding a packet of a file that may be damaged: what doesn't decode is nothing to see."""

from __future__ import annotations

from typing import Any

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream


def frames_of(track: VideoStream | AudioStream, packet: Packet[Any] | None) -> list[Any]:
    """The frames that a packet ends with, or that are left at the end (None). Raises MemoryError."""
    try:
        return list(track.decode(packet))
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return []
