"""What the step and the process that decodes say to each other: an order on its command line, answers on its output.

An answer is a line of JSON. A picture's line is followed by its bytes.

    {"progress": 0.31}
    {"picture": {"timecode_ms": 4200, "width": 1920, "height": 1080}, "bytes": 301822}
    {"shots": 12, "poster_ms": 4200}        the last one
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Order:
    """Which pictures are wanted of which video. `rotation` is clockwise, `sample_aspect_ratio` is of its pixels as stored."""

    demuxer: str
    sample_aspect_ratio: tuple[int, int]
    rotation: int
    duration_ms: int
    frame_rate: float
    max_pictures: int
    max_side_px: int
    quality: int
    max_pixels: int
    max_frames: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        fields = json.loads(text)
        across, down = fields.pop("sample_aspect_ratio")
        return cls(sample_aspect_ratio=(across, down), **fields)


@dataclass(frozen=True)
class Picture:
    """A picture of the video as JPEG, `timecode_ms` after its first one."""

    timecode_ms: int
    width: int
    height: int
    jpeg: bytes
