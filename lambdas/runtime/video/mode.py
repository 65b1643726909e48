"""How much of a video is encoded anew to cut it: one rule for the step that does it and for what is estimated before."""

from __future__ import annotations

from enum import StrEnum

from lambdas.runtime.video.formats import VideoFormat


class Mode(StrEnum):
    """What is encoded anew, in the order of what it costs."""

    COPIED = "copied"
    AUDIO_ENCODED = "audio_encoded"
    ENCODED = "encoded"


def cheapest_mode(format: str, codec: str, bit_depth: int, sound_codec: str | None, *, exact: bool, has_text: bool) -> Mode:
    """How a video, as the probe measured it, can be cut at the least cost so that a browser plays it.

    `format` is its container's, of VideoFormat's; `sound_codec` that of its first sound track, None if it has none. Pixel
    formats aren't measured: H.264 of 4:2:2 counts as playable, and the copy tells.
    """
    playable = codec == "h264" and bit_depth == 8
    # AVI has no times of presentation, only an order of decoding: pictures that refer to later ones lose their places.
    if exact or has_text or not playable or format == VideoFormat.AVI:
        return Mode.ENCODED
    return Mode.COPIED if sound_codec in (None, "aac") else Mode.AUDIO_ENCODED
