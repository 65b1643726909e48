"""A video track: opened with the one demuxer that it may have, decoded past what is broken.

FFmpeg's demuxers open further files when a file says so. Here there is no way to one: the demuxer is given, every open is
refused, and the process has no descriptor left for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_BUFFER_BYTES = 256 * 1024
_LARGE_PIXELS = 10_000_000
_THREADS_OF_LARGE = 2
"""Each thread holds pictures of its own."""


class Track:
    """The first video track of a file that isn't a cover picture. Times are in units of `unit_ms` milliseconds."""

    def __init__(self, file: IO[bytes], demuxer: str, max_pixels: int) -> None:
        """Raises StepError CORRUPT, UNSAFE or UNSUPPORTED_FORMAT if there is none to decode."""
        self._container = _open(file, demuxer)
        tracks = [stream for stream in self._container.streams.video if not stream.disposition & _NO_VIDEO]
        if not tracks or tracks[0].codec_context is None:
            raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the file has no video track that can be decoded")
        self._stream: VideoStream = tracks[0]
        base = self._stream.time_base
        if not base:
            raise StepError(ErrorCode.CORRUPT, "the video track has no clock")
        self.unit_ms = float(base * 1000)
        self.pixels = self._stream.width * self._stream.height
        decoder = self._stream.codec_context
        decoder.options = {"max_pixels": str(max_pixels)}
        self._stream.thread_type = "AUTO"
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


class _ReferenceError(Exception):
    pass


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> Any:
    raise _ReferenceError


def _open(file: IO[bytes], demuxer: str) -> InputContainer:
    try:
        container = av.open(
            file,
            format=demuxer,
            options={"max_streams": "100", "protocol_whitelist": "none", "format_whitelist": demuxer},
            buffer_size=_BUFFER_BYTES,
            io_open=_open_nothing,
            metadata_errors="replace",
        )
    except _ReferenceError:
        raise StepError(ErrorCode.UNSAFE, "the video's data is in another file, which is never opened") from None
    except (MemoryError, av.MemoryError):
        raise
    except (av.FFmpegError, ValueError) as error:
        raise StepError(ErrorCode.CORRUPT, "FFmpeg can't read the video file") from error
    assert isinstance(container, InputContainer)
    return container
