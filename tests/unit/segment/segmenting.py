"""Running the segment step as the pipeline does, on what probe learned, and looking at what it made with another library."""

from __future__ import annotations

import hashlib
import uuid
from array import array
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import av
from PIL import Image

from lambdas.probe.handler import handler as probe_handler
from lambdas.runtime.contract import BatchItem, ItemOutcome
from lambdas.segment.handler import handler
from tests.unit.conftest import Bucket, outcomes

VIDEO_LIMITS = {
    "max_video_bytes": 100_000_000,
    "max_video_pixels": 36_000_000,
    "max_video_seconds": 3600.0,
    "max_video_frames": 100_000,
}
PARAMETERS: dict[str, Any] = {
    "cut": {"type": "fixed", "duration_seconds": 1.0},
    "exact": False,
    "text": None,
    "crf": 23,
    "preset": "ultrafast",
    **VIDEO_LIMITS,
}
_LOUD = 3000
_BRIGHT = 128


def fixed(duration_ms: int, length_ms: int) -> list[list[int]]:
    return [[start, min(start + length_ms, duration_ms)] for start in range(0, duration_ms, length_ms)]


def uploaded(bucket: Bucket, video: Path | bytes) -> BatchItem:
    """A video with what the log says of it as its input: the pixels that it is shown with (steps/probe.py)."""
    item = bucket.put(video if isinstance(video, bytes) else video.read_bytes(), "video")
    limits = {"max_bytes": 100_000_000, "max_pixels": 100_000_000, **VIDEO_LIMITS}
    (found,) = outcomes(probe_handler, "probe", limits, item)
    assert found.result is not None, found.error
    shown = {"width": found.result["upright_width"], "height": found.result["upright_height"]}
    return item.model_copy(update={"input": {"video": found.result["video"], **shown}})


def planned(
    item: BatchItem, every_ms: int | None = None, *, cuts: list[list[int]] | None = None, texts: list[str] | None = None
) -> BatchItem:
    """The item of a job of its own, with its plan."""
    if every_ms is not None:
        cuts = fixed(item.input["video"]["duration_ms"], every_ms)
    plan = item.input | {"cuts_ms": cuts, "texts": texts}
    return item.model_copy(update={"input": plan, "output_prefix": f"processed/{uuid.uuid4()}/"})


def outcome_of(item: BatchItem, **parameters: Any) -> ItemOutcome:
    return outcomes(handler, "segment", PARAMETERS | parameters, item)[0]


@dataclass(frozen=True)
class Segment:
    """One of the result, and its file as PyAV sees it."""

    start_ms: int
    end_ms: int
    text: str | None
    body: bytes

    def open(self) -> Any:
        return av.open(BytesIO(self.body), format="mp4")

    @cached_property
    def frames(self) -> list[Any]:
        with self.open() as container:
            return list(container.decode(container.streams.video[0]))

    @cached_property
    def seconds(self) -> float:
        """How long its pictures are shown."""
        with self.open() as container:
            track = container.streams.video[0]
            return float(track.duration * track.time_base)

    def picture(self, index: int) -> Image.Image:
        picture: Image.Image = self.frames[index].to_image()
        return picture


@dataclass(frozen=True)
class Segmented:
    mode: str
    duration_ms: int
    segments: list[Segment]

    @property
    def bounds(self) -> list[tuple[int, int]]:
        return [(segment.start_ms, segment.end_ms) for segment in self.segments]


def segmented(bucket: Bucket, item: BatchItem, **parameters: Any) -> Segmented:
    """The step's result. Whatever the result, it has no gap and no overlap, and its objects are what it says."""
    outcome = outcome_of(item, **parameters)
    assert outcome.result is not None, outcome.error
    return read(bucket, item, outcome)


def read(bucket: Bucket, item: BatchItem, outcome: ItemOutcome) -> Segmented:
    result = outcome.result
    assert result is not None, outcome.error
    rows = result["segments"]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert [row["key"] for row in rows] == [f"{item.output_prefix}segment_{row['index']:03d}.mp4" for row in rows]
    written = {(output.key, output.sha256, output.size_bytes) for output in outcome.outputs if output.key.endswith(".mp4")}
    assert written in (set(), {(row["key"], row["sha256"], row["size_bytes"]) for row in rows})
    assert rows[0]["start_ms"] == 0
    assert [row["start_ms"] for row in rows[1:]] == [row["end_ms"] for row in rows[:-1]]
    assert rows[-1]["end_ms"] == result["duration_ms"]
    bodies = [bucket.get(row["key"]) for row in rows]
    assert [(hashlib.sha256(body).hexdigest(), len(body)) for body in bodies] == [
        (row["sha256"], row["size_bytes"]) for row in rows
    ]
    segments = [Segment(row["start_ms"], row["end_ms"], row["text"], body) for row, body in zip(rows, bodies, strict=True)]
    return Segmented(result["mode"], result["duration_ms"], segments)


def claps(body: bytes) -> tuple[list[float], list[float]]:
    """When the picture turns bright, and when a sound begins, in seconds."""
    with av.open(BytesIO(body)) as container:
        bright = [(float(frame.time), _brightness(frame) > _BRIGHT) for frame in container.decode(container.streams.video[0])]
    flashes = [time for index, (time, on) in enumerate(bright) if on and not (index and bright[index - 1][1])]
    clicks: list[float] = []
    loud_until = -1.0
    with av.open(BytesIO(body)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in container.decode(container.streams.audio[0]):
            begun = float(frame.time)
            for plain in resampler.resample(frame):
                samples = array("h", bytes(plain.planes[0]))[: plain.samples]
                for time in (begun + index / 48_000 for index, sample in enumerate(samples) if abs(sample) > _LOUD):
                    if time > loud_until + 0.2:
                        clicks.append(time)
                    loud_until = time
    return flashes, clicks


def _brightness(frame: Any) -> int:
    plane = frame.reformat(format="gray").planes[0]
    return bytes(plane)[plane.line_size * (frame.height // 2) + frame.width // 2]
