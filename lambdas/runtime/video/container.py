"""Opening a video with the one demuxer that it may have.

FFmpeg's demuxers open further files when a file says so. Here every such open is refused.
"""

from __future__ import annotations

from typing import IO, Any

import av
import av.audio.stream  # as the other kinds: otherwise loaded at first use, when nothing can be opened any more
import av.logging
import av.subtitles.stream
import av.video.stream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_BUFFER_BYTES = 256 * 1024


def open_video(file: IO[bytes], demuxer: str, max_pixels: int) -> tuple[InputContainer, VideoStream]:
    """The container, and its first video track that isn't a cover picture.

    Raises StepError: CORRUPT, UNSAFE for one whose data is elsewhere, UNSUPPORTED_FORMAT if there is no such track.
    """
    av.logging.set_level(None)
    container = _open(file, demuxer)
    tracks = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not tracks or tracks[0].codec_context is None:
        raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the file has no video track that can be decoded")
    tracks[0].codec_context.options = {"max_pixels": str(max_pixels)}
    tracks[0].thread_type = "AUTO"
    return container, tracks[0]


def _open(file: IO[bytes], demuxer: str) -> InputContainer:
    try:
        return av.open(
            file,
            "r",
            format=demuxer,
            options={"max_streams": "100", "protocol_whitelist": "none", "format_whitelist": demuxer},
            buffer_size=_BUFFER_BYTES,
            io_open=_open_nothing,
            metadata_errors="replace",
        )
    except _ReferenceError:
        raise StepError(ErrorCode.UNSAFE, "the video's data is in another file, which is never opened") from None
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise
        raise StepError(ErrorCode.CORRUPT, "FFmpeg can't read the file") from error


class _ReferenceError(Exception):
    pass


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> Any:
    raise _ReferenceError
