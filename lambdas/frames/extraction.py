"""Decodes one video and writes pictures of it: `python -m lambdas.frames.extraction ORDER SECONDS PARENT < video` (orders.py).

A process of its own (lambdas/runtime/video/isolation.py), whose memory and time are bounded; once it has started it can open no
file and no socket.
"""

from __future__ import annotations

import time
from typing import IO

from PIL import Image

from lambdas.frames.orders import Order
from lambdas.frames.rendering import render, square_size, to_jpeg
from lambdas.frames.retrieval import retrieve
from lambdas.frames.selection import choose, poster
from lambdas.frames.survey import spacing_ms, survey
from lambdas.frames.track import Track
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.isolation import answer_isolated, say

MEMORY_BYTES = 2_400_000_000
"""A frame of 36 million pixels takes 110 MB, and a decoder may hold 16."""
_SURVEY = 0.8
"""Share of the progress."""
_TOLD_SECONDS = 0.5


def main() -> None:
    Image.preinit()  # loads the JPEG encoder
    answer_isolated(_extract, MEMORY_BYTES)


def _extract(file: IO[bytes], asked: str) -> None:
    order = Order.from_json(asked)
    progress = _Progress()
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
        say({"picture": picture, "bytes": len(jpeg)}, jpeg)
        rendered.append(candidate)
        progress.tell(_SURVEY + (1 - _SURVEY) * len(rendered) / len(chosen))
    if not rendered:
        raise StepError(ErrorCode.CORRUPT, "none of the video's pictures can be decoded twice alike")
    say({"shots": len(shots), "poster_ms": poster(rendered, order.duration_ms).timecode_ms})


class _Progress:
    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, share: float) -> None:
        if time.monotonic() - self._told_at >= _TOLD_SECONDS:
            self._told_at = time.monotonic()
            say({"progress": round(min(1.0, max(0.0, share)), 3)})


if __name__ == "__main__":
    main()
