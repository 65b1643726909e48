"""What probe learned about a video, and what follows from it for cutting: what can be copied, what has to be encoded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat
from lambdas.runtime.video.mode import Mode, cheapest_mode

_MOST_PIXELS_A_SIDE = 16_384  # x264


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Audio(_Facts):
    codec: str
    channels: int
    sample_rate_hz: int


class Video(_Facts):
    """Of probe's facts those that are needed here."""

    duration_ms: int = Field(gt=0)
    frame_rate: float = Field(gt=0)
    codec: str
    bit_depth: int
    hdr: bool
    audio: tuple[Audio, ...]


class SourceFacts(_Facts):
    """The item's input: probe's facts, and the plan. `width` and `height` are of the picture as it is shown, upright and of
    square pixels. `cuts_ms` None: at shot boundaries. `texts`: one, or one a segment."""

    video: Video
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    cuts_ms: tuple[tuple[int, int], ...] | None = None
    texts: tuple[str, ...] | None = None

    @property
    def audio_is_copied(self) -> bool:
        """Of the first audio track, the one that is kept."""
        return all(track.codec == "aac" for track in self.video.audio[:1])

    def cheapest_mode(self, format: VideoFormat, *, exact: bool) -> Mode:
        """How the video can be cut at the least cost so that a browser plays it."""
        video = self.video
        sound = video.audio[0].codec if video.audio else None
        return cheapest_mode(format, video.codec, video.bit_depth, sound, exact=exact, has_text=self.texts is not None)

    def encoded_size(self, max_pixels: int) -> tuple[int, int]:
        """Width and height of the encoded picture, which is the one that is shown, both even.

        Raises StepError TOO_MANY_PIXELS if pixels that aren't square make it larger than the limit.
        """
        width, height = (max(2, 2 * round(side / 2)) for side in (self.width, self.height))
        if width * height > max_pixels or max(width, height) > _MOST_PIXELS_A_SIDE:
            raise StepError(
                ErrorCode.TOO_MANY_PIXELS,
                f"shown with square pixels the video has {width} × {height}; the limit is {max_pixels:,}",
            )
        return width, height
