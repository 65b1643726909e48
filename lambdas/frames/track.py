"""A video track, decoded past what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.container import open_video

_LARGE_PIXELS = 10_000_000
_THREADS_OF_LARGE = 2
"""Each thread holds pictures of its own."""


class Track:
    """The first video track of a file that isn't a cover picture. Times are in units of `unit_ms` milliseconds."""

    def __init__(self, file: IO[bytes], demuxer: str, max_pixels: int) -> None:
        """Raises StepError CORRUPT, UNSAFE or UNSUPPORTED_FORMAT if there is none to decode."""
        self._container, self._stream = open_video(file, demuxer, max_pixels)
        base = self._stream.time_base
        if not base:
            raise StepError(ErrorCode.CORRUPT, "the video track has no clock")
        self.unit_ms = float(base * 1000)
        self.pixels = self._stream.width * self._stream.height
        if self.pixels > _LARGE_PIXELS:
            self._stream.thread_count = _THREADS_OF_LARGE

    def pictures(self, spacing_ms: float = 0) -> Iterator[VideoFrame]:
        """From where the track was left, in the order in which they are shown; broken ones are passed over.

        With `spacing_ms`, only pictures that need no other to be decoded, and no two that are closer.
        """
        last: float | None = None
        for packet in self._packets():
            if spacing_ms and packet is not None and packet.size:
                time = packet.dts if packet.dts is not None else packet.pts
                if not packet.is_keyframe or time is None:
                    continue
                if last is not None and 0 <= time * self.unit_ms - last < spacing_ms:
                    continue
                last = time * self.unit_ms
            try:
                yield from self._stream.decode(packet)
            except (MemoryError, av.MemoryError):
                raise
            except av.FFmpegError:
                continue

    def seek(self, time: int) -> None:
        """To a picture from which the one of that time can be decoded, if the container knows."""
        self._container.seek(time, stream=self._stream)

    def rewind(self) -> None:
        """To the first picture."""
        start = self._stream.start_time or 0
        try:
            self._container.seek(min(0, start), stream=self._stream)
        except av.FFmpegError:
            self._container.seek(start, stream=self._stream)

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        """The last one is empty, or None: it makes the decoder give what it still holds."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (MemoryError, av.MemoryError):
                raise
            except av.FFmpegError:  # what was read so far is all there is
                yield None
                return
            if packet is None:
                return
            yield packet
