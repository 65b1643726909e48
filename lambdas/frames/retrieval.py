"""Finding pictures again that a survey has seen, without decoding the whole video anew.

A container's index leads near a picture, its time to it, and its looks prove that it is the one. Where that fails (streams
have no index, AVI has no times), the video is decoded from its beginning as the survey did, and pictures are counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import av
from av.video.frame import VideoFrame

from lambdas.frames.figures import Viewer
from lambdas.frames.survey import Sighting, Survey
from lambdas.frames.track import Track

_EARLY_MS = 1000
"""How far before a keyframe to look for it where the container seeks by when pictures are decoded, not shown."""
_BEYOND = 40
"""How many pictures past its time one is looked for: decoders give them out in order, some containers' times are not."""


def retrieve(track: Track, found: Survey, wanted: Sequence[Sighting], apart_ms: float) -> Iterator[tuple[Sighting, VideoFrame]]:
    """Each of `wanted`, which ascend, in that order except for those that had to be counted: they come last.

    `apart_ms` is what the survey was made with.
    """
    missed: list[Sighting] = []
    viewer = Viewer()
    pictures: Iterator[VideoFrame] | None = None
    reached = -1
    for sighting in wanted:
        key = found.keys[max(0, bisect_right(found.keys, sighting.index) - 1)] if found.keys else 0
        # Going on is as near as the index leads, unless there is a picture that stands on its own between.
        frame = _find(pictures, sighting, viewer) if pictures is not None and key <= reached else None
        if frame is None:
            early = round(found.times[key] - _EARLY_MS / track.unit_ms)
            for time in (sighting.time, early):
                pictures = _from(track, time, apart_ms)
                frame = _find(pictures, sighting, viewer)
                if frame is not None:
                    break
        if frame is None:
            missed.append(sighting)
            pictures = None
        else:
            reached = sighting.index
            yield sighting, frame
    if missed:
        yield from _counted(track, missed, apart_ms)


def _from(track: Track, time: int, apart_ms: float) -> Iterator[VideoFrame]:
    try:
        track.seek(time)
    except av.FFmpegError:
        return iter(())
    return track.pictures(apart_ms)


def _find(pictures: Iterator[VideoFrame], sighting: Sighting, viewer: Viewer) -> VideoFrame | None:
    beyond = 0
    for frame in pictures:
        if frame.pts == sighting.time and viewer.fingerprint(frame) == sighting.fingerprint:
            return frame
        beyond += frame.pts is None or frame.pts >= sighting.time
        if beyond > _BEYOND:
            break
    return None


def _counted(track: Track, wanted: Sequence[Sighting], apart_ms: float) -> Iterator[tuple[Sighting, VideoFrame]]:
    by_index = {sighting.index: sighting for sighting in wanted}
    track.rewind()
    for index, frame in enumerate(track.pictures(apart_ms)):
        if index in by_index:
            yield by_index.pop(index), frame
        if not by_index:
            return
