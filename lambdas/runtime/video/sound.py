"""Which of a file's sound tracks is the video's, for those that measure, cut and check it alike."""

from __future__ import annotations

from av.audio.stream import AudioStream
from av.container import InputContainer


def is_decodable(stream: AudioStream) -> bool:
    """Whether there is a decoder for the track, and it says what it needs."""
    return bool(stream.codec_context and stream.channels > 0 and stream.rate > 0)


def first_sound(container: InputContainer) -> AudioStream | None:
    """The first track of sound that can be decoded."""
    return next((stream for stream in container.streams.audio if is_decodable(stream)), None)
