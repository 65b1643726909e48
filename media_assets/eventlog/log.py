"""What an event log does, whatever it is kept in. tests/contract/eventlog holds every store to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from media_assets.eventlog.events import Event, NewEvent


class Appended(NamedTuple):
    """Where an event is in the log, and whether this append put it there (False: it was there already)."""

    position: int
    inserted: bool


class Erased(NamedTuple):
    """How many payloads an erasure removed, and how many rows of each read model that the log keeps."""

    payloads: int
    rows: dict[str, int]


class EventLog(ABC):
    """Streams of events in one order. What it returns is the caller's own; nothing is written when it raises."""

    @abstractmethod
    def append(self, events: Sequence[NewEvent]) -> list[Appended]:
        """Append events in their order, all or none.

        An event whose id the log already holds changes nothing and returns the position it has, whatever else is said of
        it. What is new is checked. Raises UnknownEventTypeError or FutureSchemaError for what this log has no meaning for,
        StreamClosedError after ItemErased, ConcurrencyError if an `expected_version` isn't the stream's version, and
        MixedErasureError for ItemErased, which `erase` appends.
        """

    @abstractmethod
    def erase(self, events: Sequence[NewEvent]) -> Erased:
        """Append ItemErased events, as `append` does, and remove the payloads of everything else that was told of their
        items. Raises MixedErasureError for other events."""

    @abstractmethod
    def stream(self, stream_id: str) -> list[Event]:
        """All events of a stream, oldest first; empty if there is none."""

    @abstractmethod
    def since(self, position: int, limit: int = 1000) -> list[Event]:
        """Up to `limit` events after `position`, in commit order. Nothing is ever inserted before what this returned."""

    @abstractmethod
    def head(self) -> int:
        """Position of the newest event; 0 when the log is empty."""

    @abstractmethod
    def versions(self, stream_ids: Iterable[str]) -> dict[str, int]:
        """Newest version of each stream that exists."""

    def all(self, batch_size: int = 1000) -> Iterator[Event]:
        """The whole log by cursor, in commit order."""
        position = 0
        while batch := self.since(position, batch_size):
            yield from batch
            position = batch[-1].position
