"""Decodes one video and writes pictures of it: `python -m lambdas.frames.extraction ORDER SECONDS < video`, see orders.py.

A process of its own (isolation.py), whose memory and time are bounded; once it has started it can open no file and no socket.
"""

from __future__ import annotations

import io
import json
import resource
import signal
import sys
import time
import traceback
from typing import Any

import av
import av.audio.stream  # as the other kinds: otherwise loaded at first use, when nothing can be opened any more
import av.logging
import av.subtitles.stream
import av.video.stream
from PIL import Image

from lambdas.frames.orders import Order
from lambdas.frames.rendering import render, square_size, to_jpeg
from lambdas.frames.retrieval import retrieve
from lambdas.frames.selection import choose, poster
from lambdas.frames.survey import spacing_ms, survey
from lambdas.frames.track import Track
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

MEMORY_BYTES = 2_400_000_000
"""A frame of 36 million pixels takes 110 MB, and a decoder may hold 16."""
_PROCESSORS = 4
_SURVEY = 0.8
"""Share of the progress."""
_TOLD_SECONDS = 0.5


def main() -> None:
    order, seconds = Order.from_json(sys.argv[1]), int(sys.argv[2])
    Image.preinit()  # loads the JPEG encoder
    signal.alarm(seconds)
    for kind, limit in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds * _PROCESSORS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),  # standard input, output and error are
    ):
        resource.setrlimit(kind, (limit, limit))
    av.logging.set_level(None)
    try:
        _extract(order)
    except StepError as error:
        _say({"error": error.code, "message": error.message})
    except (MemoryError, av.MemoryError):
        _say({"error": ErrorCode.CRASHED, "message": f"decoding takes more than {MEMORY_BYTES // 10**6:,} MB of memory"})
    except Exception as error:  # noqa: BLE001 - its text may quote the file: its kind is told, its place logged
        places = [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(error.__traceback__)]
        print(json.dumps({"unexpected": type(error).__name__, "at": places}), file=sys.stderr)
        _say({"error": ErrorCode.STEP_ERROR, "message": type(error).__name__})


def _extract(order: Order) -> None:
    progress = _Progress()
    with io.FileIO(0, closefd=False) as file:
        file.seek(0)
        track = Track(file, order.demuxer, order.max_pixels)
        apart = spacing_ms(order.duration_ms, order.frame_rate, track.pixels)
        found = survey(track, order.duration_ms, apart, order.max_frames, lambda share: progress.tell(share * _SURVEY))
        shots = found.shots()
        chosen = {each.index: each for each in choose(shots, order.max_pictures)}
        size: tuple[int, int] | None = None
        rendered = []
        for sighting, frame in retrieve(track, found, found.sightings(chosen.values()), apart):
            size = size or square_size(frame.width, frame.height, order.sample_aspect_ratio, order.max_side_px)
            image = render(frame, size, order.rotation)
            candidate = chosen[sighting.index]
            picture = {"timecode_ms": candidate.timecode_ms, "width": image.width, "height": image.height}
            jpeg = to_jpeg(image, order.quality)
            _say({"picture": picture, "bytes": len(jpeg)}, jpeg)
            rendered.append(candidate)
            progress.tell(_SURVEY + (1 - _SURVEY) * len(rendered) / len(chosen))
    if not rendered:
        raise StepError(ErrorCode.CORRUPT, "none of the video's pictures can be decoded twice alike")
    _say({"shots": len(shots), "poster_ms": poster(rendered, order.duration_ms).timecode_ms})


class _Progress:
    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, share: float) -> None:
        if time.monotonic() - self._told_at >= _TOLD_SECONDS:
            self._told_at = time.monotonic()
            _say({"progress": round(min(1.0, max(0.0, share)), 3)})


def _say(answer: dict[str, Any], body: bytes = b"") -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
