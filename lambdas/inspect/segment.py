"""Plays one segment to its end and says what it is: `python -m lambdas.inspect.segment ORDER SECONDS PARENT < segment`.

A process of its own (lambdas/runtime/video/isolation.py): a segment that was copied is what a stranger made.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import IO, Any

from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from lambdas.inspect.decoding import frames_of, packets_of
from lambdas.runtime.video.container import open_video
from lambdas.runtime.video.isolation import answer_isolated, say
from lambdas.runtime.video.sound import first_sound

_MEMORY_BYTES = 1_600_000_000
_DEMUXER = "mov"
_LEAST_DECODED = 0.9
"""Of the pictures. What a source has that doesn't decode, a copy of it has too."""


def examine(file: IO[bytes], order: str) -> None:
    """Says the fields of SegmentFacts, but for its key. Raises StepError as open_video does."""
    first = _index_comes_first(file)
    file.seek(0)
    container, video = open_video(file, _DEMUXER, json.loads(order)["max_pixels"])
    audio = first_sound(container)
    picture, sound = _Picture(video), _Sound(audio) if audio else None
    for stream, packet in packets_of(container, [stream for stream in (video, audio) if stream]):
        if stream is video:
            picture.add(packet)
        elif sound:
            sound.add(packet)
    facts = picture.facts() | {"faststart": first, "problem": picture.problem() or (sound.problem() if sound else None)}
    if sound:
        facts |= sound.facts(picture.begins_ms)
    say(facts)


def _index_comes_first(file: IO[bytes]) -> bool:
    """Whether the box `moov` is before `mdat` (ISO/IEC 14496-12): then a player starts before it has the whole file."""
    at = 0
    for _ in range(100):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header[:8])
        if kind in (b"moov", b"mdat"):
            return bool(kind == b"moov")
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack(">Q", header[8:])
        if size < 8:
            break
        at += size
    return False


@dataclass
class _Picture:
    """The video track while it is played. Times are in its units."""

    stream: VideoStream
    whole: int = 0
    shown: dict[int, int] = field(default_factory=dict)
    """When each picture that belongs to the segment is shown, and how long."""
    decoded: set[int] = field(default_factory=set)
    first_key: int | None = None
    begins_with_keyframe: bool = False

    def add(self, packet: Packet[Any] | None) -> None:
        if packet is not None and not packet.is_corrupt:
            self.whole += 1
            if self.first_key is None and packet.is_keyframe:
                self.first_key = packet.pts
                self.begins_with_keyframe = self.whole == 1
            # Pictures that refer to what is before the keyframe were shown in the segment before.
            if packet.pts is not None and not packet.is_discard and self.first_key is not None and packet.pts >= self.first_key:
                self.shown[packet.pts] = packet.duration or 0
        self.decoded |= {
            frame.pts for frame in frames_of(self.stream, packet) if frame.pts is not None and not frame.is_corrupt
        }

    @property
    def begins_ms(self) -> float:
        return min(self.decoded, default=0) * self._unit_ms

    @property
    def _unit_ms(self) -> float:
        return float((self.stream.time_base or 0) * 1000)

    def problem(self) -> str | None:
        listed = self.stream.frames
        if not self.shown:
            return "it has no picture"
        if self.whole < listed:
            return f"it breaks off: {self.whole} of {listed} pictures are in the file"
        if max(self.shown) not in self.decoded:
            return "its last picture doesn't decode"
        decoded = len(self.decoded & self.shown.keys())
        if decoded < _LEAST_DECODED * len(self.shown):
            return f"{decoded} of {len(self.shown)} pictures decode"
        return None

    def facts(self) -> dict[str, Any]:
        times = sorted(self.shown)
        ends = [*times[1:], times[-1] + self.shown[times[-1]]] if times else []
        context = self.stream.codec_context
        return {
            "frames": len(self.decoded),
            "duration_ms": (ends[-1] - times[0]) * self._unit_ms if times else 0.0,
            "longest_frame_ms": max((end - time for time, end in zip(times, ends, strict=True)), default=0) * self._unit_ms,
            "begins_with_keyframe": self.begins_with_keyframe,
            "video_codec": context.codec.canonical_name,
            "pixel_format": context.pix_fmt,
        }


@dataclass
class _Sound:
    """The sound track while it is played. Times are in milliseconds."""

    stream: AudioStream
    whole: int = 0
    packet_ms: float = 0
    begins_ms: float | None = None
    ends_ms: float = 0

    def add(self, packet: Packet[Any] | None) -> None:
        unit_ms = float((self.stream.time_base or 0) * 1000)
        if packet is not None and not packet.is_corrupt:
            self.whole += 1
            self.packet_ms = max(self.packet_ms, (packet.duration or 0) * unit_ms)
        for frame in frames_of(self.stream, packet):
            if frame.pts is None or not frame.sample_rate:
                continue
            begins = float(frame.pts * (frame.time_base or 0) * 1000)
            self.begins_ms = begins if self.begins_ms is None else self.begins_ms
            self.ends_ms = begins + frame.samples / frame.sample_rate * 1000

    def problem(self) -> str | None:
        if self.whole < self.stream.frames:
            return f"it breaks off: {self.whole} of {self.stream.frames} packets of sound are in the file"
        return None

    def facts(self, picture_begins_ms: float) -> dict[str, Any]:
        facts: dict[str, Any] = {"audio_codec": self.stream.codec_context.codec.canonical_name}
        if self.begins_ms is not None:
            facts |= {
                "audio_offset_ms": self.begins_ms - picture_begins_ms,
                "audio_duration_ms": self.ends_ms - self.begins_ms,
                "audio_packet_ms": self.packet_ms,
            }
        return facts


if __name__ == "__main__":
    answer_isolated(examine, _MEMORY_BYTES)
