"""What every event log has to do: a store passes when a subclass of `EventLogContract` that gives it passes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from threading import Event as Signal
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from pydantic import ValidationError

from media_assets.eventlog.catalogue import MediaProbed, PayloadErased
from media_assets.eventlog.errors import (
    ConcurrencyError,
    FutureSchemaError,
    MixedErasureError,
    StreamClosedError,
    UnknownEventTypeError,
)
from media_assets.eventlog.events import Event, NewEvent
from media_assets.eventlog.log import Appended, EventLog
from tests.contract.eventlog.chained import assert_chained
from tests.contract.eventlog.odd_events import RemovedInFuture, Unheard, at_version, from_the_future, unheard
from tests.contract.eventlog.plain_list import LogMachine
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life, spending_stopped

T = TypeVar("T")
cat, dog, cow = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "cow"))
film = Film()
job = Job(film)


class EventLogContract:
    """Subclasses have a fixture `log`, an empty log that appends, and override `eraser` where another object erases it."""

    @pytest.fixture
    def eraser(self, log: EventLog) -> EventLog:
        return log

    # Order

    def test_positions_count_from_1_and_versions_in_each_stream(self, log: EventLog) -> None:
        assert log.append([cat.upload(), dog.upload(), cat.probed()]) == [Appended(n, inserted=True) for n in (1, 2, 3)]
        assert log.append([dog.probed(), spending_stopped()]) == [Appended(4, inserted=True), Appended(5, inserted=True)]

        told = list(log.all())
        assert [event.position for event in told] == [1, 2, 3, 4, 5]
        assert [(event.stream_id, event.version) for event in told] == [
            (cat.stream_id, 1),
            (dog.stream_id, 1),
            (cat.stream_id, 2),
            (dog.stream_id, 2),
            ("account-ada", 1),
        ]
        assert log.head() == 5

    def test_a_stream_and_a_cursor_read_the_same_events(self, log: EventLog) -> None:
        log.append([event for pair in zip(cat.done(), dog.done(), strict=True) for event in pair])
        told = list(log.all(batch_size=3))
        assert [event.position for event in told] == list(range(1, 13))
        for life in (cat, dog):
            assert log.stream(life.stream_id) == [event for event in told if event.stream_id == life.stream_id]
        assert log.since(0) == told
        assert log.since(4, limit=3) == told[4:7]
        assert log.since(12) == log.since(99) == log.since(0, limit=0) == []
        assert log.versions([cat.stream_id, dog.stream_id, cow.stream_id]) == {cat.stream_id: 6, dog.stream_id: 6}

    def test_an_empty_log_has_nothing_to_say(self, log: EventLog, eraser: EventLog) -> None:
        assert log.append([]) == []
        assert eraser.erase([]).payloads == 0
        assert (log.head(), log.since(0), list(log.all()), log.stream(cat.stream_id)) == (0, [], [], [])
        assert log.versions([]) == log.versions([cat.stream_id]) == {}

    def test_what_was_written_is_read(self, log: EventLog) -> None:
        written = [*cat.done(), cat.failed("probe"), cat.abandoned("embed"), cat.reprocess("probe"), cat.rejected("v2")]
        written += [cat.removed("v2"), spending_stopped()]
        before = datetime.now(UTC)
        log.append(written)
        after = datetime.now(UTC)
        read = log.since(0)
        for told, kept in zip(written, read, strict=True):
            clear = set(NewEvent.model_fields) - {"payload", "expected_version"}
            assert kept.model_dump(include=clear) == told.model_dump(include=clear)
            assert kept.payload == told.payload
            assert (kept.type, kept.schema_version) == (told.payload.type, told.payload.schema_version)
        assert {event.recorded_at for event in read} == {read[0].recorded_at}  # one append, one moment
        assert before <= read[0].recorded_at <= after

    def test_characters_that_a_text_cannot_hold_are_replaced(self, log: EventLog) -> None:
        log.append([cat.upload(), cat.analysis(summary="a\0b\ud800c \\u0000 \N{CAT}", notes=[{"\0": "\udfff"}])])
        analysis = log.since(1)[0].payload.analysis  # type: ignore[attr-defined]
        assert (analysis["summary"], analysis["notes"]) == ("a\ufffdb\ufffdc \\u0000 \N{CAT}", [{"\ufffd": "\ufffd"}])

    # Idempotence

    def test_a_repeat_has_the_position_of_the_first_telling(self, log: EventLog) -> None:
        log.append([cat.upload(), cat.probed()])
        again = log.append([cat.probed(), cat.thumbnails(), cat.upload(), cat.thumbnails()])
        assert again == [Appended(2, False), Appended(3, True), Appended(1, False), Appended(3, False)]
        assert log.append([cat.upload(), cat.thumbnails()]) == [Appended(1, False), Appended(3, False)]
        assert [event.version for event in log.stream(cat.stream_id)] == [1, 2, 3]

    def test_the_content_that_was_told_first_stays(self, log: EventLog) -> None:
        log.append([cat.upload(), cat.probed(width=40), cat.probed(width=41)])
        log.append([cat.probed(width=42), cat.rejected()])
        assert log.since(1)[0].payload.width == 40  # type: ignore[attr-defined]
        assert log.head() == 2

    def test_a_repeat_is_answered_whatever_else_is_said_of_it(self, log: EventLog, eraser: EventLog) -> None:
        """A command whose answer got lost is sent again as it was: it must hear that it succeeded."""
        command = at_version(cat.upload(), 0)
        log.append([command, cat.probed()])
        assert log.append([command]) == [Appended(1, inserted=False)]
        for payload in (Unheard(), RemovedInFuture(version_id="v1")):
            assert log.append([command.model_copy(update={"payload": payload})]) == [Appended(1, inserted=False)]
        eraser.erase([cat.erased()])
        assert log.append([command, dog.upload()]) == [Appended(1, inserted=False), Appended(4, inserted=True)]

    # Optimistic concurrency

    def test_the_version_that_a_command_was_decided_on_counts(self, log: EventLog) -> None:
        log.append([at_version(cat.upload(), 0), at_version(dog.upload(), 0), at_version(cat.probed(), 1), dog.probed()])
        log.append([at_version(dog.thumbnails(), 2), at_version(cat.thumbnails(), 2), at_version(cat.analysis(), 3)])
        assert log.versions([cat.stream_id, dog.stream_id]) == {cat.stream_id: 4, dog.stream_id: 3}

    @pytest.mark.parametrize(
        ("events", "expected", "actual"),
        [
            ([at_version(cat.thumbnails(), 1)], 1, 2),  # outdated
            ([at_version(cat.thumbnails(), 7)], 7, 2),  # ahead
            ([at_version(cat.thumbnails(), 0)], 0, 2),  # of a stream that isn't there yet
            ([cat.thumbnails(), at_version(cat.analysis(), 2)], 2, 3),  # outdated by its own append
            ([at_version(cat.thumbnails(), 2), at_version(cat.analysis(), 2)], 2, 3),
            ([at_version(cat.thumbnails(), 4), at_version(cat.analysis(), 5)], 4, 2),  # the first one is named
        ],
    )
    def test_another_version_is_named_with_the_one_there_is(
        self, log: EventLog, events: list[NewEvent], expected: int, actual: int
    ) -> None:
        log.append([cat.upload(), cat.probed()])
        with pytest.raises(ConcurrencyError) as refused:
            log.append([dog.upload(), *events, dog.probed()])
        assert refused.value == ConcurrencyError(cat.stream_id, expected, actual)
        assert str(refused.value) == (
            f"stream {cat.stream_id} is at version {actual}, not at the expected {expected}: read it and decide again"
        )
        assert log.head() == 2

    # What is refused

    @pytest.mark.parametrize("place", [0, 2, 4])
    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (unheard(cat), UnknownEventTypeError("Unheard")),
            (from_the_future(cat), FutureSchemaError("UploadRemoved", 2, 1)),
            (cow.probed(), StreamClosedError(frozenset({cow.stream_id}))),
            (at_version(cat.embedding(), 9), ConcurrencyError(cat.stream_id, 9, 0)),
            (dog.erased(), MixedErasureError()),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_one_bad_event_and_nothing_of_the_append_is_written(
        self, log: EventLog, eraser: EventLog, bad: NewEvent, error: Exception, place: int
    ) -> None:
        log.append([cow.upload()])
        eraser.erase([cow.erased()])
        before = log.since(0)
        batch = [dog.upload(), dog.probed(), dog.thumbnails(), dog.analysis()]
        with pytest.raises(type(error)) as refused:
            log.append([*batch[:place], bad, *batch[place:]])
        assert refused.value == error
        assert log.since(0) == before
        assert log.append(batch)[0] == Appended(3, inserted=True)  # and no position was used up

    def test_of_several_reasons_the_first_to_mend_is_named(self, log: EventLog, eraser: EventLog) -> None:
        eraser.erase([cow.erased(), dog.erased()])
        stale = at_version(cat.upload(), 3)
        with pytest.raises(StreamClosedError) as closed:
            log.append([stale, cow.upload(), dog.upload()])
        assert closed.value.stream_ids == {cow.stream_id, dog.stream_id}
        with pytest.raises(FutureSchemaError):
            log.append([stale, cow.upload(), from_the_future(cat), unheard(cat)])
        with pytest.raises(UnknownEventTypeError, match="'Unheard'"):
            log.append([stale, cow.upload(), unheard(cat), from_the_future(cat)])

    def test_a_malformed_event_is_refused_by_the_name_of_its_field(self, log: EventLog) -> None:
        """Before it comes to the log: events and payloads that are wrong can't be made."""
        event = cat.probed()
        for field, wrong in {"event_id": "x", "user_id": "", "occurred_at": datetime(2026, 7, 1), "milliseconds": -1}.items():
            with pytest.raises(ValidationError, match=field):
                log.append([NewEvent.model_validate(dict(event) | {field: wrong})])
        for field, wrong in {"width": 0, "kind": "song", "orientation": 9, "colour": "red"}.items():
            with pytest.raises(ValidationError, match=field):
                MediaProbed.model_validate(dict(event.payload) | {field: wrong})
        assert log.head() == 0

    # Erasure

    def test_an_erasure_takes_what_was_said_and_leaves_that_it_was(self, log: EventLog, eraser: EventLog) -> None:
        log.append([*cat.done(), dog.upload()])
        before = log.since(0)
        assert eraser.erase([cat.erased()]).payloads == 6

        after = log.since(0)
        assert [event.payload for event in after[:6]] == [PayloadErased()] * 6
        assert [event.model_dump(exclude={"payload"}) for event in after[:7]] == [
            event.model_dump(exclude={"payload"}) for event in before
        ]
        assert after[6] == before[6]
        assert (after[7].type, after[7].payload, after[7].version) == ("ItemErased", cat.erased().payload, 7)
        assert log.stream(cat.stream_id) == [*after[:6], after[7]]

    def test_an_item_is_erased_once_and_nothing_follows(self, log: EventLog, eraser: EventLog) -> None:
        log.append([cat.upload()])
        assert eraser.erase([cat.erased()]).payloads == 1
        assert eraser.erase([cat.erased()]).payloads == 0
        assert log.head() == 2
        another = cat.erased().model_copy(update={"event_id": dog.erased().event_id})
        with pytest.raises(StreamClosedError) as refused:
            eraser.erase([another])
        assert str(refused.value) == f"erased, so nothing follows in {cat.stream_id}"
        with pytest.raises(StreamClosedError):
            eraser.erase([cow.erased(), cow.erased().model_copy(update={"event_id": dog.erased().event_id})])
        assert log.head() == 2

    def test_items_are_erased_together_or_not_at_all(self, log: EventLog, eraser: EventLog) -> None:
        log.append([*cat.done(), *dog.done(), cow.upload()])
        with pytest.raises(ConcurrencyError):
            eraser.erase([cat.erased(), at_version(dog.erased(), 5)])
        with pytest.raises(MixedErasureError):
            eraser.erase([cat.erased(), dog.failed("probe")])
        assert log.head() == 13
        assert not any(isinstance(event.payload, PayloadErased) for event in log.all())
        assert eraser.erase([cat.erased(), at_version(dog.erased(), 6), cat.erased()]).payloads == 12
        assert log.head() == 15

    def test_a_job_ends_with_the_video_that_it_is_about_and_none_begins(self, log: EventLog, eraser: EventLog) -> None:
        log.append([film.upload(), job.submitted(), cat.upload()])
        assert eraser.erase([film.erased(), job.erased()]).payloads == 2
        assert [event.type for event in log.stream(job.stream_id)] == ["JobSubmitted", "ItemErased"]
        another = Job(film, "another")
        for late in (job.progressed(), another.submitted(), another.segmented()):
            with pytest.raises(StreamClosedError) as refused:
                log.append([cat.probed(), late])
            assert refused.value.stream_ids == {late.stream_id}
        assert log.append([job.submitted()]) == [Appended(2, inserted=False)]
        assert eraser.erase([film.erased(), job.erased()]).payloads == 0
        log.append([Job(Film(film.key, incarnation=1)).submitted(), cat.probed()])

    def test_the_next_incarnation_of_a_key_is_another_stream(self, log: EventLog, eraser: EventLog) -> None:
        log.append([cat.upload()])
        eraser.erase([cat.erased()])
        again = Life(cat.key, incarnation=1)
        log.append([at_version(again.upload("v2"), 0), again.probed("v2")])
        assert [event.version for event in log.stream(again.stream_id)] == [1, 2]
        assert again.stream_id != cat.stream_id

    # Chain

    def test_the_events_of_a_job_are_chained_with_it(self, log: EventLog) -> None:
        log.append([film.upload(), *job.done()])
        assert [event.job_id for event in log.since(0)] == [None, *[job.job_id] * 5]
        assert_chained(log.since(0))

    def test_every_event_is_chained_to_the_one_before_erased_or_not(self, log: EventLog, eraser: EventLog) -> None:
        numbers = [0, -1, 10**30, 0.5, -0.0, 1e300, 1e-7, 1.10, True, None]
        log.append([*cat.done(), cat.failed("probe"), cat.analysis("v2", numbers=numbers, summary='"ü\n\x1f\x7f 🐈')])
        eraser.erase([cat.erased()])
        log.append([dog.upload(), dog.analysis(ä=1, z=[{"bb": {}, "a": []}])])
        assert_chained(log.since(0))

    # What is returned is the caller's own

    def test_nobody_changes_the_log_through_what_he_gave_or_got(self, log: EventLog) -> None:
        exif = {"camera": {"maker": "acme"}}
        event = cat.analysis(objects=[exif])
        log.append([event])
        kept = log.since(0)
        exif["camera"]["maker"] = "eve"
        log.since(0)[0].payload.analysis["objects"][0]["camera"]["maker"] = "eve"  # type: ignore[attr-defined]
        log.stream(cat.stream_id)[0].payload.analysis.clear()  # type: ignore[attr-defined]
        log.since(0).clear()
        log.versions([cat.stream_id]).clear()
        with pytest.raises(ValidationError, match="frozen"):
            log.since(0)[0].position = 7  # type: ignore[misc]
        assert log.since(0) == kept
        assert kept[0].payload.analysis["objects"] == [{"camera": {"maker": "acme"}}]  # type: ignore[attr-defined]
        assert_chained(log.since(0))

    # Anything at all

    def test_whatever_is_done_in_whichever_order_it_is_what_a_plain_list_says(self, log: EventLog, eraser: EventLog) -> None:
        limits = settings(max_examples=60, stateful_step_count=20, deadline=None, database=None)
        run_state_machine_as_test(lambda: LogMachine(log, eraser), settings=limits)

    # Threads

    def test_told_by_eight_at_once_it_happened_once(self, log: EventLog) -> None:
        answers = at_once(8, lambda _: log.append(cat.done()))
        assert all([position for position, _ in answer] == [1, 2, 3, 4, 5, 6] for answer in answers)
        assert sum(inserted for answer in answers for _, inserted in answer) == 6
        assert log.head() == 6

    def test_of_commands_decided_on_one_version_exactly_one_wins(self, log: EventLog) -> None:
        def command(number: int) -> list[Appended | ConcurrencyError]:
            """What becomes of an attempt at each version."""
            return [attempt(at_version(cat.failed("probe", attempt=f"{number}-{n}"), n)) for n in range(10)]

        def attempt(event: NewEvent) -> Appended | ConcurrencyError:
            try:
                return log.append([event])[0]
            except ConcurrencyError as error:
                return error

        by_version = list(zip(*at_once(8, command), strict=True))
        for version, answers in enumerate(by_version):
            [won] = [answer for answer in answers if isinstance(answer, Appended)]
            assert won == Appended(version + 1, inserted=True)
            lost = [answer for answer in answers if isinstance(answer, ConcurrencyError)]
            assert {(error.stream_id, error.expected) for error in lost} == {(cat.stream_id, version)}
            assert all(error.actual > version for error in lost)
        assert log.versions([cat.stream_id]) == {cat.stream_id: 10}

    def test_while_many_write_a_reader_by_cursor_misses_nothing(self, log: EventLog) -> None:
        written = Signal()

        def read() -> list[Event]:
            seen: list[Event] = []
            while True:
                last_look = written.is_set()
                found = log.since(len(seen), limit=7)
                seen += found
                if last_look and not found:
                    return seen

        def write(number: int) -> list[list[Appended]]:
            lives = [Life(f"uploads/ada/{number}-{n}.jpg") for n in range(8)]
            return [log.append([life.upload(), life.probed(), life.thumbnails()]) for life in lives]

        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(read)
            try:
                answers = [answer for answers in at_once(6, write) for answer in answers]
            finally:
                written.set()
            seen = reading.result()

        assert [event.position for event in seen] == list(range(1, 6 * 8 * 3 + 1))
        assert sorted(position for answer in answers for position, _ in answer) == [event.position for event in seen]
        for answer in answers:  # of an append, the events are beside each other
            assert [position for position, _ in answer] == list(range(answer[0].position, answer[0].position + 3))
        assert_chained(seen)

    def test_an_erasure_among_appends_is_the_last_word(self, log: EventLog, eraser: EventLog) -> None:
        def work(number: int) -> int | None:
            """How many attempts came before the erasure."""
            if number == 0:
                eraser.erase([cat.erased()])
                return None
            for n in range(20):
                try:
                    log.append([cat.failed("probe", attempt=f"{number}-{n}")])
                except StreamClosedError:
                    return n
            return 20

        came = sum(count for count in at_once(4, work) if count is not None)
        told = log.stream(cat.stream_id)
        assert len(told) == came + 1
        assert told[-1].type == "ItemErased"
        assert all(isinstance(event.payload, PayloadErased) for event in told[:-1])


def at_once(workers: int, work: Callable[[int], T]) -> list[T]:
    """What `work(0)`, `work(1)`, … return in as many threads that start together and take turns all the time."""
    start = Barrier(workers)

    def begin(number: int) -> T:
        start.wait()
        return work(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(begin, range(workers)))
    finally:
        sys.setswitchinterval(interval)
