"""A log as a plain list, and a Hypothesis state machine that does the same to it and to a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media_assets.eventlog.catalogue import CATALOGUE, ItemErased, PayloadErased
from media_assets.eventlog.chain import GENESIS
from media_assets.eventlog.errors import (
    ConcurrencyError,
    FutureSchemaError,
    MixedErasureError,
    StreamClosedError,
    UnknownEventTypeError,
)
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.log import Appended, EventLog
from tests.contract.eventlog.chained import assert_chained
from tests.contract.eventlog.odd_events import from_the_future, unheard
from tests.unit.eventlog.lives import Life

REFUSALS = (ConcurrencyError, FutureSchemaError, MixedErasureError, StreamClosedError, UnknownEventTypeError)

_examples = count()


@dataclass(frozen=True)
class Draft:
    """An event to be told of the `life`th item. `expected`: None, a version, or "right" for the one that the stream has."""

    life: int
    what: str
    expected: int | str | None

    def event(self, lives: Sequence[Life]) -> NewEvent:
        life = lives[self.life]
        if self.what in ("unheard", "future"):
            return unheard(life) if self.what == "unheard" else from_the_future(life)
        return life.erased() if self.what == "erased" else life.failed("probe", attempt=self.what)


def drafts(kinds: Sequence[str]) -> st.SearchStrategy[list[Draft]]:
    expected = st.sampled_from([None, None, "right", "right", 0, 1, 2])
    return st.lists(st.builds(Draft, st.integers(0, 2), st.sampled_from(kinds), expected), max_size=6)


ATTEMPTS = [f"a{number}" for number in range(8)]
"""Few enough that many are told again, in the same append too."""


class PlainList:
    """The told events in their order. `judge` says what an append of more comes to."""

    def __init__(self) -> None:
        self.told: list[NewEvent] = []
        self.erased: set[Any] = set()  # items whose payloads are gone

    def judge(self, events: Sequence[NewEvent]) -> tuple[list[tuple[int, bool]], list[NewEvent], Exception | None]:
        """(index and whether it is new, of each; the log afterwards; the reason to refuse it all)."""
        log, answers = list(self.told), []
        refusals: list[tuple[int, Exception]] = []
        closed: set[str] = set()
        for event in events:
            ids = [told.event_id for told in log]
            if event.event_id in ids:
                answers.append((ids.index(event.event_id), False))
                continue
            before = [told.payload.type for told in log if told.stream_id == event.stream_id]
            known = CATALOGUE.get(event.payload.type)
            if known is None:
                refusals.append((1, UnknownEventTypeError(event.payload.type)))
            elif event.payload.schema_version > known.schema_version:
                refusals.append((1, FutureSchemaError(known.type, event.payload.schema_version, known.schema_version)))
            if ItemErased.type in before:
                closed.add(event.stream_id)
                refusals.append((2, StreamClosedError(frozenset(closed))))
            if event.expected_version not in (None, len(before)):
                refusals.append((3, ConcurrencyError(event.stream_id, event.expected_version, len(before))))
            answers.append((len(log), True))
            log.append(event)
        rank = min((rank for rank, _ in refusals), default=0)
        of_that_rank = [error for each, error in refusals if each == rank]
        if not of_that_rank:
            return answers, log, None
        return [], self.told, StreamClosedError(frozenset(closed)) if rank == 2 else of_that_rank[0]

    def version(self, stream_id: str) -> int:
        return sum(event.stream_id == stream_id for event in self.told)


def answer_or_refusal(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except REFUSALS as refusal:
        return refusal


class LogMachine(RuleBasedStateMachine):
    """Appends, erasures and reads in any order. The log may hold events from before: this one begins where it ended."""

    def __init__(self, log: EventLog, eraser: EventLog) -> None:
        super().__init__()
        self.log, self.eraser = log, eraser
        example = next(_examples)
        self.lives = [Life(f"uploads/ada/{example}/{number}.jpg") for number in range(3)]
        self.model = PlainList()
        self.base = log.head()
        self.last_hash = log.since(self.base - 1)[0].hash if self.base else GENESIS

    @rule(batch=drafts(ATTEMPTS))
    def append(self, batch: list[Draft]) -> None:
        self._append(self._events(batch))

    @rule(batch=drafts([*ATTEMPTS, "unheard", "future"]))
    def append_what_newer_code_tells(self, batch: list[Draft]) -> None:
        self._append(self._events(batch))

    @rule(batch=drafts(["erased"]))
    def erase(self, batch: list[Draft]) -> None:
        events = self._events(batch)
        _, log, refusal = self.model.judge(events)
        items = {event.item_id for event in events}
        said = [told for told in log if told.item_id in items - self.model.erased and told.payload.type != ItemErased.type]
        assert answer_or_refusal(lambda: self.eraser.erase(events).payloads) == (refusal or len(said))
        if refusal is None:
            self.model.told = log
            self.model.erased |= items

    @rule(batch=drafts([*ATTEMPTS, "erased"]))
    def mix(self, batch: list[Draft]) -> None:
        events = self._events(batch)
        kinds = {event.payload.type for event in events}
        if len(kinds) == 2:
            assert answer_or_refusal(lambda: self.log.append(events)) == MixedErasureError()
            assert answer_or_refusal(lambda: self.eraser.erase(events)) == MixedErasureError()

    @rule(cursor=st.integers(0, 20), limit=st.integers(0, 20))
    def read_by_cursor(self, cursor: int, limit: int) -> None:
        told = self.log.since(self.base + cursor, limit)
        self._compare(told, list(self._expected())[cursor : cursor + limit])

    @rule(life=st.integers(0, 2))
    def read_a_stream(self, life: int) -> None:
        stream_id = self.lives[life].stream_id
        self._compare(self.log.stream(stream_id), [each for each in self._expected() if each["stream_id"] == stream_id])

    @invariant()
    def heads_and_versions_agree(self) -> None:
        assert self.log.head() == self.base + len(self.model.told)
        streams = [life.stream_id for life in self.lives]
        versions = {stream_id: self.model.version(stream_id) for stream_id in streams}
        assert self.log.versions(streams) == {stream_id: version for stream_id, version in versions.items() if version}

    def teardown(self) -> None:
        told = self.log.since(self.base)
        self._compare(told, list(self._expected()))
        assert_chained(told, self.last_hash)

    def _events(self, batch: Sequence[Draft]) -> list[NewEvent]:
        told = {event.event_id: event for event in self.model.told}
        events = []
        for draft in batch:
            event = draft.event(self.lives)
            version = sum(each.stream_id == event.stream_id for each in told.values())
            expected = version if draft.expected == "right" else draft.expected
            events.append(event.model_copy(update={"expected_version": expected}))
            told.setdefault(event.event_id, event)
        return events

    def _append(self, events: list[NewEvent]) -> None:
        answers, log, refusal = self.model.judge(events)
        expected = [Appended(self.base + 1 + index, inserted) for index, inserted in answers]
        assert answer_or_refusal(lambda: self.log.append(events)) == (refusal or expected)
        self.model.told = log

    def _expected(self) -> Iterator[dict[str, Any]]:
        versions: dict[str, int] = {}
        for number, event in enumerate(self.model.told, self.base + 1):
            versions[event.stream_id] = versions.get(event.stream_id, 0) + 1
            is_gone = event.item_id in self.model.erased and event.payload.type != ItemErased.type
            yield {
                "position": number,
                "version": versions[event.stream_id],
                "event_id": event.event_id,
                "stream_id": event.stream_id,
                "type": event.payload.type,
                "payload": PayloadErased() if is_gone else event.payload,
            }

    def _compare(self, told: Sequence[Any], expected: Sequence[dict[str, Any]]) -> None:
        assert [{name: getattr(event, name) for name in each} for event, each in zip(told, expected, strict=True)] == expected
