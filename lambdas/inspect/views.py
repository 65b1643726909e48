"""Small grey copies of a video's pictures at given times: `python -m lambdas.inspect.views ORDER SECONDS PARENT < video`.

A process of its own (lambdas/runtime/video/isolation.py). It says {"audio_offset_ms": …}, how much later than the picture the
sound begins, and then for each time {"time_ms", "at", "before", "after"}: the copies, as base64, of the pictures then and half
a second before and after, None where there is none. Times ascend and count from the video's first picture.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from lambdas.inspect.decoding import frames_of, pixels_of
from lambdas.runtime.video.container import open_video
from lambdas.runtime.video.isolation import answer_isolated, say
from lambdas.runtime.video.sound import first_sound

_Timed = tuple[float, VideoFrame]
"""A picture after its time in milliseconds, by the container's clock."""

SIDE = 48
"""Pixels of a copy, whatever its picture's shape: (SIDE, SIDE) bytes, row by row."""
APART_MS = 500.0
_NEAR_MS = 150.0
"""How far from its time a picture may be: times of some containers are coarse, of others there are none for each picture."""
_MEMORY_BYTES = 1_600_000_000
_ONWARD_MS = 5_000
"""Times so close are reached by decoding on. A seek goes back to a keyframe, usually some seconds."""
_EARLIER_MS = (0, 2_000, 10_000)
"""How much before a time to seek, until what is decoded begins early enough."""
_SOUND_PACKETS = 2_000
"""Of both tracks, in which the beginning of the sound is looked for: a minute and more."""


def look(file: IO[bytes], order: str) -> None:
    """Raises StepError as open_video does."""
    asked = json.loads(order)
    container, video = open_video(file, asked["demuxer"], asked["max_pixels"])
    say({"audio_offset_ms": _audio_offset_ms(container, video)})
    if asked["times_ms"]:
        for view in _Views(container, video).at(asked["times_ms"]):
            say(view)


def _audio_offset_ms(container: InputContainer, video: VideoStream) -> float | None:
    """How much later than the picture the file's sound begins; None if it has none."""
    audio = first_sound(container)
    begins: dict[int, float] = {}
    for count, packet in enumerate(container.demux([stream for stream in (video, audio) if stream])):
        if count >= _SOUND_PACKETS or len(begins) == 2:
            break
        if packet.stream.index not in begins:
            track = audio if audio and packet.stream.index == audio.index else video
            decoded = [frame for frame in frames_of(track, packet) if frame.pts is not None]
            if decoded:
                begins[packet.stream.index] = float(decoded[0].pts * (decoded[0].time_base or 0) * 1000)
    if audio is None or audio.index not in begins or video.index not in begins:
        return None
    return begins[audio.index] - begins[video.index]


class _Views:
    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self._container, self._video = container, video
        self._unit_ms = float((video.time_base or 0) * 1000)
        self._reformatter = VideoReformatter()

    def at(self, times_ms: Sequence[int]) -> Iterator[dict[str, Any]]:
        pictures = self._from_the_beginning()
        first = next(pictures, None)
        if first is None:
            return
        origin = reached = first[0]
        pictures = chain([first], pictures)
        copies: list[tuple[float, bytes]] = []
        for time_ms in times_ms:
            time = origin + time_ms
            begins, ends = time - APART_MS - _NEAR_MS, time + APART_MS + _NEAR_MS
            if begins - reached > _ONWARD_MS:
                pictures = self._from(begins)
            copies = [copy for copy in copies if copy[0] >= begins]
            while reached < ends and (picture := next(pictures, None)):
                reached = picture[0]
                if reached >= begins:
                    copies.append((reached, self._copy(picture[1])))
            wanted = {"at": time, "before": time - APART_MS, "after": time + APART_MS}
            yield {"time_ms": time_ms, **{name: _nearest(copies, moment) for name, moment in wanted.items()}}

    def _from(self, moment: float) -> Iterator[_Timed]:
        """Pictures, of which the first is not after the moment."""
        for earlier in _EARLIER_MS:
            try:
                self._container.seek(round((moment - earlier) / self._unit_ms), stream=self._video)
            except av.FFmpegError:
                continue
            pictures = self._pictures()
            first = next(pictures, None)
            if first is not None and first[0] <= moment:
                return chain([first], pictures)
        return self._from_the_beginning()

    def _from_the_beginning(self) -> Iterator[_Timed]:
        start = self._video.start_time or 0
        try:
            self._container.seek(min(0, start), stream=self._video)
        except av.FFmpegError:
            self._container.seek(start, stream=self._video)
        return self._pictures()

    def _pictures(self) -> Iterator[_Timed]:
        packets = self._container.demux(self._video)
        packet: Packet[VideoStream] | None = None
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:  # what was read so far is all there is
                if isinstance(error, MemoryError):
                    raise
                packet = None
            for frame in frames_of(self._video, packet):
                if frame.pts is not None:
                    yield frame.pts * self._unit_ms, frame
            if packet is None:
                return

    def _copy(self, frame: VideoFrame) -> bytes:
        small = self._reformatter.reformat(frame, SIDE, SIDE, "gray", interpolation=Interpolation.AREA, threads=1)
        return pixels_of(small, 1)


def _nearest(copies: Sequence[tuple[float, bytes]], moment: float) -> str | None:
    near = [(abs(at - moment), index) for index, (at, _) in enumerate(copies) if abs(at - moment) <= _NEAR_MS]
    return b64encode(copies[min(near)[1]][1]).decode() if near else None


if __name__ == "__main__":
    answer_isolated(look, _MEMORY_BYTES)
