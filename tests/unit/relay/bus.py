"""A bus that can be made to fail in every way that matters, and remembers what it took."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from media_assets.eventlog.published import Entry
from media_assets.relay.event_bridge import BusUnavailableError


class KilledError(Exception):
    """The relay ends here, between what the bus took and what it would have stored."""


@dataclass(frozen=True)
class Mishap:
    """What happens to a call: entries at the `refused` places aren't taken, then the answer or the relay is lost."""

    refused: Collection[int] = ()
    before: bool = False
    """The call doesn't reach the bus."""
    answer_lost: bool = False
    killed: bool = False


FINE = Mishap()


@dataclass
class Bus:
    """`taken` in order; `doubtful` counts how often the sender couldn't know that an event was."""

    mishaps: list[Mishap] = field(default_factory=list)
    taken: list[Entry] = field(default_factory=list)
    doubtful: list[Entry] = field(default_factory=list)
    calls: list[list[int]] = field(default_factory=list)

    def put(self, entries: Sequence[Entry]) -> dict[int, str]:
        assert 1 <= len(entries) <= 10
        assert len({entry.stream_id for entry in entries}) == len(entries), "two events of a stream in one call"
        self.calls.append([entry.position for entry in entries])
        mishap = self.mishaps.pop(0) if self.mishaps else FINE
        if mishap.before:
            raise BusUnavailableError("unreachable")
        refused = {entry.position: "MalformedDetail: no" for place, entry in enumerate(entries) if place in mishap.refused}
        taken = [entry for entry in entries if entry.position not in refused]
        self.taken += taken
        if mishap.answer_lost or mishap.killed:
            self.doubtful += taken
            raise BusUnavailableError("answer lost") if mishap.answer_lost else KilledError
        return refused
