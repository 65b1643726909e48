"""What a drain did, hour by hour: the figures on a materialization."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from media_assets.dispatch.outcomes import Recorded
from media_assets.eventlog.catalogue import StepAbandoned, StepFailed, UploadRejected
from media_assets.steps.step import Work

_SAMPLE = 24


@dataclass
class Tally:
    """What a drain did to one hour's items. `erased` ones were erased since they were claimed. `sample` holds the ids of
    some that were processed, `reasons` counts the codes of what was rejected or failed, `targets` the items by the target
    that had them."""

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
