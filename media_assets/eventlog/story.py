"""An item's history as it came about: each event under the one that led to it.

Every version of a key is a story of its own, begun by its UploadReceived, and so is every job. A frame's history is a part of
its video's; told alone, it begins with its FrameReceived. What is told here depends on the events alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from media_assets.eventlog.catalogue import FrameReceived, JobSubmitted, UploadReceived
from media_assets.eventlog.events import Event

_BEGINNINGS = {UploadReceived.type, FrameReceived.type, JobSubmitted.type}
"""What a stream begins with."""


@dataclass(frozen=True)
class Told:
    """An event in its place: `depth` levels below the beginning of its story (0), right under `cause` (None: it is one)."""

    event: Event
    depth: int
    cause: Event | None

    @property
    def after(self) -> timedelta | None:
        """Time since the cause; below zero if its clock was ahead. None for a beginning."""
        return None if self.cause is None else self.event.occurred_at - self.cause.occurred_at


def tell(history: Iterable[Event]) -> list[Told]:
    """Every event of a history once, in the order of a tree: beginnings and siblings by position.

    An event stands under its cause if that is of the same story, otherwise under what its story began with, otherwise (older
    events say neither) under the upload before it in its stream. A cause is always the earlier event, so there is no way
    round.
    """
    known: dict[uuid.UUID, Event] = {}
    began: dict[str, Event] = {}
    beginnings: list[Event] = []
    led_to: dict[uuid.UUID, list[Event]] = {}
    causes: dict[uuid.UUID, Event] = {}
    for event in sorted(history, key=lambda event: event.position):
        cause = None if event.type == UploadReceived.type else _cause(event, known) or began.get(event.stream_id)
        if cause is None:
            beginnings.append(event)
        else:
            led_to.setdefault(cause.event_id, []).append(event)
            causes[event.event_id] = cause
        if event.type in _BEGINNINGS:
            began[event.stream_id] = event
        known[event.event_id] = event
    return list(_walk(beginnings, led_to, causes))


def _cause(event: Event, known: dict[uuid.UUID, Event]) -> Event | None:
    """What an event says that led to it, of the events before it."""
    cause = known.get(event.causation_id) if event.causation_id else None
    if cause is not None and event.correlation_id in (None, cause.correlation_id):
        return cause
    return known.get(event.correlation_id) if event.correlation_id else None


def _walk(beginnings: list[Event], led_to: dict[uuid.UUID, list[Event]], causes: dict[uuid.UUID, Event]) -> Iterator[Told]:
    ahead = [(event, 0) for event in reversed(beginnings)]
    while ahead:  # not by recursion: each reprocessing makes a story deeper
        event, depth = ahead.pop()
        yield Told(event, depth, causes.get(event.event_id))
        ahead += [(each, depth + 1) for each in reversed(led_to.get(event.event_id, ()))]
