"""What a drain did, hour by hour: the figures on a materialization."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from media_assets.dispatch.outcomes import Recorded
from media_assets.eventlog.catalogue import (
    FramesExtracted,
    JobCompleted,
    JobFailed,
    Payload,
    StepAbandoned,
    StepFailed,
    TextVaried,
    UploadRejected,
    VideoSegmented,
)
from media_assets.steps.step import Work

_SAMPLE = 24


@dataclass
class Tally:
    """What a drain did to one hour's items. `erased` ones were erased since they were claimed. `sample` holds the ids of
    some that were processed, a job's for its work, `reasons` counts the codes of what was rejected or failed, `targets` the
    items by the target that had them. Of videos: which were processed, `video_ms` of them in all, once for each job, what they
    came to (`frames`, `shots`, `segments`, `texts`, `jobs_completed`, `jobs_failed`), and the `modes` of cutting."""

    processed: int = 0
    failed: int = 0
    rejected: int = 0
    erased: int = 0
    bytes_read: int = 0
    milliseconds: int = 0
    micro_dollars: int = 0
    sample: list[uuid.UUID] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    videos: set[uuid.UUID] = field(default_factory=set)
    video_ms: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)


def count(tallies: MutableMapping[datetime, Tally], recorded: Recorded, erased: Sequence[Work]) -> None:
    """Add what became of a batch; `tallies` makes the ones that it doesn't have."""
    for work in erased:
        tallies[work.hour].erased += 1
    for name in ("processed", "rejected", "failed"):
        for work in getattr(recorded, name):
            tally = tallies[work.hour]
            setattr(tally, name, getattr(tally, name) + 1)
            tally.bytes_read += work.size_bytes
            if name == "processed" and len(tally.sample) < _SAMPLE:
                tally.sample.append(work.item_id)
    for work in recorded.processed:
        if work.video is not None:
            tallies[work.hour].videos.add(work.job.item_id if work.job else work.item_id)
            tallies[work.hour].video_ms += work.video["duration_ms"]
    hours = {work.stream: work.hour for work in (*recorded.processed, *recorded.rejected, *recorded.failed)}
    for event in recorded.events:
        if event.stream_id not in hours:
            continue  # a consequence for another item: a frame
        tally = tallies[hours[event.stream_id]]
        tally.milliseconds += event.milliseconds
        tally.micro_dollars += event.micro_dollars
        if event.target is not None and not isinstance(event.payload, StepAbandoned):
            tally.targets[event.target] += 1
        if isinstance(event.payload, UploadRejected | StepFailed):
            tally.reasons[event.payload.code] += 1
        if isinstance(event.payload, VideoSegmented):
            tally.modes[event.payload.mode] += 1
        tally.figures.update(_figures(event.payload))


def _figures(payload: Payload) -> dict[str, int]:
    """What there is to count in a result about a video, and in the end of a job."""
    match payload:
        case FramesExtracted():
            return {"frames": len(payload.frames), "shots": payload.shots}
        case VideoSegmented():
            return {"segments": len(payload.segments)}
        case TextVaried():
            return {"texts": len(payload.texts)}
        case JobCompleted():
            return {"jobs_completed": 1}
        case JobFailed():
            return {"jobs_failed": 1}
        case _:
            return {}
