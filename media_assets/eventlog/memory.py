"""The event log in memory: what the one on Postgres promises, without read models, for as long as the process lives."""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from media_assets.eventlog.catalogue import CATALOGUE, ItemErased
from media_assets.eventlog.chain import GENESIS, canonical_json, event_bytes, link, payload_digest
from media_assets.eventlog.errors import (
    ConcurrencyError,
    FutureSchemaError,
    MixedErasureError,
    StreamClosedError,
    UnknownEventTypeError,
)
from media_assets.eventlog.events import Event, NewEvent, item_stream
from media_assets.eventlog.log import Appended, Erased, EventLog
from media_assets.eventlog.stored import read_event, stored_body


class MemoryEventStore(EventLog):
    """A log of events that today's code makes: it has no upcasts. Threads may share one.

    `clock` is asked once an append for `recorded_at`, an aware datetime.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._log: list[dict[str, Any]] = []  # clear columns
        self._streams: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._positions: dict[uuid.UUID, int] = {}
        self._bodies: dict[uuid.UUID, str] = {}  # as text, so that nobody holds a part of it

    def append(self, events: Sequence[NewEvent]) -> list[Appended]:
        if any(event.payload.type == ItemErased.type for event in events):
            raise MixedErasureError
        with self._lock:
            return self._append(events)

    def erase(self, events: Sequence[NewEvent]) -> Erased:
        if any(event.payload.type != ItemErased.type for event in events):
            raise MixedErasureError
        with self._lock:
            self._append(events)
            rows = (row for stream_id in {event.stream_id for event in events} for row in self._streams[stream_id])
            said = [row["event_id"] for row in rows if row["type"] != ItemErased.type]
            return Erased(sum(self._bodies.pop(event_id, None) is not None for event_id in said), {})

    def stream(self, stream_id: str) -> list[Event]:
        with self._lock:
            return self._read(self._streams.get(stream_id, ()))

    def since(self, position: int, limit: int = 1000) -> list[Event]:
        with self._lock:
            first = max(position, 0)
            return self._read(self._log[first : first + limit])

    def head(self) -> int:
        with self._lock:
            return len(self._log)

    def versions(self, stream_ids: Iterable[str]) -> dict[str, int]:
        with self._lock:
            return {stream_id: len(self._streams[stream_id]) for stream_id in stream_ids if stream_id in self._streams}

    def _append(self, events: Sequence[NewEvent]) -> list[Appended]:
        new: dict[uuid.UUID, NewEvent] = {}
        for event in events:
            if event.event_id not in self._positions:
                new.setdefault(event.event_id, event)
        self._check(list(new.values()))
        recorded_at = self._clock()
        for event in new.values():
            self._write(event, recorded_at)
        # The first mention of a new event is its insertion, every other one a repeat.
        return [Appended(self._positions[event.event_id], new.pop(event.event_id, None) is not None) for event in events]

    def _check(self, new: Sequence[NewEvent]) -> None:
        for event in new:
            known = CATALOGUE.get(event.payload.type)
            if known is None:
                raise UnknownEventTypeError(event.payload.type)
            if event.payload.schema_version > known.schema_version:
                raise FutureSchemaError(event.payload.type, event.payload.schema_version, known.schema_version)
        tails = {event.stream_id: self._tail(event.stream_id) for event in new}
        before = []  # what each event would follow
        for event in new:
            before.append(tails[event.stream_id])
            tails[event.stream_id] = (before[-1][0] + 1, event.payload.type)
        closed = {
            event.stream_id
            for event, (_, type) in zip(new, before, strict=True)
            if type == ItemErased.type or self._is_of_erased_item(event)
        }
        if closed:
            raise StreamClosedError(frozenset(closed))
        for event, (version, _) in zip(new, before, strict=True):
            if event.expected_version not in (None, version):
                raise ConcurrencyError(event.stream_id, event.expected_version, version)

    def _is_of_erased_item(self, event: NewEvent) -> bool:
        """Of jobs, whose streams may begin after the item's was closed."""
        if event.job_id is None or event.item_id is None or event.payload.type == ItemErased.type:
            return False
        return self._tail(item_stream(event.item_id))[1] == ItemErased.type

    def _tail(self, stream_id: str) -> tuple[int, str | None]:
        """The stream's version and the type of its newest event."""
        rows = self._streams.get(stream_id)
        return (len(rows), rows[-1]["type"]) if rows else (0, None)

    def _write(self, event: NewEvent, recorded_at: datetime) -> None:
        body = stored_body(event.payload)
        row = event.model_dump(exclude={"payload", "expected_version"}) | {
            "type": event.payload.type,
            "schema_version": event.payload.schema_version,
            "position": len(self._log) + 1,
            "version": len(self._streams[event.stream_id]) + 1,
            "recorded_at": recorded_at,
            "payload_sha256": payload_digest(body),
        }
        row["hash"] = link(self._log[-1]["hash"] if self._log else GENESIS, event_bytes(row))
        self._log.append(row)
        self._streams[event.stream_id].append(row)
        self._positions[event.event_id] = row["position"]
        self._bodies[event.event_id] = canonical_json(body)

    def _read(self, rows: Iterable[dict[str, Any]]) -> list[Event]:
        bodies = [self._bodies.get(row["event_id"]) for row in rows]
        return [read_event(row, json.loads(body) if body else None) for row, body in zip(rows, bodies, strict=True)]
