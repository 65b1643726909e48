"""Which of a file's sound tracks is the one that probe measured first.

Probe lists those that can be decoded. ffmpeg's own `a:0` is the first, whether or not it can be.
"""

from __future__ import annotations

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.segment.ffmpeg_process import Sandbox, Source

_MOST_TRACKS = 100
"""As many as probe reads of a file."""
_MOST_REFUSED = 3
"""ffmpeg doesn't touch a track without a sample rate. Nor a file that it can't read, which is tried no oftener."""
_LISTING = "sound.txt"
_CODEC = "#codec_id 0: "
_NO_CHANNELS = "#channel_layout_name 0: 0 channels"


def find_sound(source: Source, sandbox: Sandbox, codec: str) -> str:
    """ffmpeg's name of the first sound track of that codec: `a:0`, in nearly every file.

    Raises StepError STEP_ERROR if there is none; what `Sandbox.run` raises.
    """
    refused: list[StepError] = []
    unlike = False
    for track in (f"a:{index}" for index in range(_MOST_TRACKS)):
        try:
            if _codec_of(track, source, sandbox) == codec:
                return track
            unlike = True
        except StepError as error:
            if error.code is not ErrorCode.STEP_ERROR:
                raise
            refused.append(error)
            if len(refused) == _MOST_REFUSED:
                break
    if refused and not unlike:
        raise refused[0]
    raise StepError(ErrorCode.STEP_ERROR, f"none of the file's sound is {codec}, as measured", False)


def _codec_of(track: str, source: Source, sandbox: Sandbox) -> str | None:
    """None for a track that probe doesn't list either."""
    listing = sandbox.folder / _LISTING
    try:
        sandbox.run(source, source.input()[track].output(_LISTING, f="framecrc", c="copy", **{"frames:a": 1}))
        lines = listing.read_text().splitlines()
    finally:
        listing.unlink(missing_ok=True)  # or ffmpeg refuses to write it again
    known = [line.removeprefix(_CODEC) for line in lines if line.startswith(_CODEC)]
    return known[0] if known and _NO_CHANNELS not in lines else None
