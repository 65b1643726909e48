"""Opens one video with FFmpeg and prints what is in it: `python -m lambdas.probe.demuxing DEMUXER SIZE SCAN PARENT`.

A process of its own, since FFmpeg reads what strangers made: it has no environment, and once it has started it can open
neither file nor socket; its memory and its time are bounded. The video itself comes through pipes, from the process that
may read it: a READ request on standard output, the bytes on standard input. Nothing is decoded but what FFmpeg needs to know
a track's format, usually a picture.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any, cast

import av
import av.audio.stream
import av.logging
import av.subtitles.stream
import av.video.stream
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from lambdas.probe.demuxing_protocol import ANSWER, CPU_SECONDS, FACTS, MEMORY_BYTES, READ, REQUEST
from lambdas.runtime.lifetime import end_with
from lambdas.runtime.video.sound import is_decodable

_SAMPLED_PACKETS = 300
"""From which variable_frame_rate is told where a file has no list of its frames."""
_MAX_STREAMS = 100
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_ROTATION = re.compile(r"(?:displaymatrix|Display Matrix): rotation of (-?[\d.]+) degrees")


class PipedFile:
    """A seekable file at the other end of two pipes."""

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._position = 0
        self._pipe = sys.stdin.buffer

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence & 3]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, length: int) -> bytes:
        if self._position >= self._size:
            return b""
        say(READ, self._position, length)
        data = self._pipe.read(ANSWER.unpack(self._pipe.read(ANSWER.size))[0])
        self._position += len(data)
        return data


def say(what: bytes, position: int, length: int, data: bytes = b"") -> None:
    sys.stdout.buffer.write(REQUEST.pack(what, position, length) + data)
    sys.stdout.buffer.flush()


def main() -> None:
    demuxer, size_bytes, scan, parent = sys.argv[1:]
    end_with(int(parent))
    confine()
    facts = json.dumps(describe(PipedFile(int(size_bytes)), demuxer, scan == "1")).encode()
    say(FACTS, 0, len(facts), facts)


def confine() -> None:
    """From here on this process opens nothing, and is bounded in memory and time."""
    # At the soft limit it ends by SIGXCPU, which tells why. Were the hard one the same, it would be SIGKILL.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    for kind, limit in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),  # standard input, output and error are open
    ):
        resource.setrlimit(kind, (limit, limit))


def describe(file: Any, demuxer: str, scan: bool) -> dict[str, Any]:
    """What FFmpeg finds in a seekable file: {"error": kind} or {"seconds": of the whole, "tracks": […]}.

    With `scan` the file is read to its end, since its header doesn't know how long it is; so it is when FFmpeg finds no
    duration.
    """
    av.logging.set_level(av.logging.INFO)  # what dumps_format needs; nobody reads the rest
    try:
        with av.open(
            file,
            format=demuxer,
            options={"max_streams": str(_MAX_STREAMS), "protocol_whitelist": "none", "format_whitelist": demuxer},
            buffer_size=64 * 1024,
            io_open=_open_nothing,
            metadata_errors="replace",
        ) as container:
            return _facts(container, demuxer, scan)
    except (MemoryError, av.MemoryError):
        return {"error": "memory"}
    except _ReferenceError:
        return {"error": "reference"}
    except (av.FFmpegError, ValueError, ArithmeticError, AssertionError) as error:
        return {"error": "damaged", "why": type(error).__name__}


class _ReferenceError(Exception):
    pass


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> Any:
    raise _ReferenceError


def _facts(container: InputContainer, demuxer: str, scan: bool) -> dict[str, Any]:
    rotations = _rotations(container)
    seconds = container.duration / av.time_base if container.duration else None
    tracks = [_track(stream, rotations.get(stream.index, 0)) for stream in container.streams]
    videos = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if videos:
        video, track = videos[0], tracks[videos[0].index]
        if demuxer == "mov" and scan:
            track |= _listed(container, video)
        elif demuxer in ("mov", "avi"):
            track |= _timing(_indexed(video), video)
            if demuxer == "mov":  # which knows how long the last frame is shown, too
                track.pop("counted_seconds", None)
        else:
            track |= _packets(container, video, to_the_end=scan or seconds is None)
    return {"seconds": seconds, "tracks": tracks}


def _track(stream: Stream, rotation: float) -> dict[str, Any]:
    context = stream.codec_context
    track: dict[str, Any] = {
        "type": stream.type,
        "codec": context.codec.canonical_name if context else None,
        "seconds": _seconds(stream.duration, stream.time_base) or _tagged_seconds(stream),
        "encrypted": "enc_key_id" in stream.metadata,
    }
    if isinstance(stream, AudioStream):
        track["decodable"] = is_decodable(stream)
    if isinstance(stream, AudioStream) and context:
        track |= {"channels": stream.channels, "sample_rate_hz": stream.rate, "language": stream.language}
    if isinstance(stream, VideoStream):
        track |= {"picture": bool(stream.disposition & _PICTURES), "frames": stream.frames, "rotation": rotation}
        track |= {"rate": _ratio(stream.average_rate or stream.base_rate), "aspect": _ratio(stream.sample_aspect_ratio)}
    if isinstance(stream, VideoStream) and context:
        track |= {"width": stream.width, "height": stream.height, "transfer": int(stream.codec_context.color_trc)}
        format = stream.codec_context.format
        track["bits"] = max(part.bits for part in format.components) if format and format.components else None
    return track


def _rotations(container: InputContainer) -> dict[int, float]:
    """Degrees clockwise by stream. PyAV has display matrices of decoded pictures only, FFmpeg's own summary has them all."""
    found: dict[int, float] = {}
    index = -1
    for line in cast(Any, container).dumps_format().splitlines():  # missing in PyAV's types
        if stream := re.match(r" +Stream #0:(\d+)", line):
            index = int(stream[1])
        elif turn := _ROTATION.search(line):
            found.setdefault(index, -float(turn[1]))  # FFmpeg counts counterclockwise
    return found


def _indexed(stream: VideoStream) -> list[int]:
    return sorted(entry.timestamp for entry in stream.index_entries)


def _listed(container: InputContainer, video: VideoStream) -> dict[str, Any]:
    """Reads every fragment's header; the demuxer skips the data of streams that nobody wants."""
    for stream in container.streams:
        stream.discard = Discard.all
    for _ in container.demux():
        pass
    return _timing(_indexed(video), video)


def _packets(container: InputContainer, video: VideoStream, *, to_the_end: bool) -> dict[str, Any]:
    """From the first packets, or all of them."""
    for stream in container.streams:
        if stream is not video:
            stream.discard = Discard.all
    times = (packet.pts for packet in container.demux(video) if packet.pts is not None)
    found = _timing(sorted(times if to_the_end else islice(times, _SAMPLED_PACKETS)), video)
    if not to_the_end:
        found.pop("counted_seconds", None)
        found.pop("counted_frames", None)
    return found


def _timing(times: list[int], video: VideoStream) -> dict[str, Any]:
    """From when the frames are, ascending, in units of the stream: whether their rate varies, how long they last together.

    A rate varies when more than 2 % of the intervals differ from the usual one by more than a tenth, and by more than what
    rounding to the stream's unit makes of it. The first one doesn't count: where sound begins later, it is stretched.
    """
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if not gaps:
        return {"variable": False}
    usual = sorted(gaps)[len(gaps) // 2]
    return {
        "variable": sum(abs(gap - usual) > max(usual / 10, 2) for gap in gaps[1:]) > len(gaps) / 50,
        "counted_frames": len(times),
        "counted_seconds": _seconds(times[-1] - times[0] + usual, video.time_base),
    }


def _seconds(ticks: int | None, unit: Fraction | None) -> float | None:
    return float(ticks * unit) if ticks and unit else None


def _tagged_seconds(stream: Stream) -> float | None:
    """Matroska has a duration of the whole only; its writers add when each track ends as tags, `00:00:02.000000000`, from the
    file's zero on and not from the track's first picture."""
    tag = next((value for name, value in stream.metadata.items() if name.upper().startswith("DURATION")), "")
    found = re.fullmatch(r"(\d{2,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", tag)
    begun = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) - begun if found else None


def _ratio(value: Fraction | None) -> list[int] | None:
    return [value.numerator, value.denominator] if value else None


if __name__ == "__main__":
    main()
