"""The cursor over the log, and what is held beside it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, create_engine, text

from media_assets.eventlog.outbox import (
    EVENTBRIDGE,
    CursorMovedError,
    Lag,
    Outbox,
    held_entries,
    outbox_lag,
    relay_is_at_work,
)
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.lives import Life, rows
from tests.unit.relay.conftest import erase, let_time_pass

CAT, DOG = Life("cat.jpg"), Life("dog.jpg")


def positions(outbox: Outbox, limit: int = 500) -> list[int]:
    return [entry.position for entry in outbox.page(limit).entries]


def settle(outbox: Outbox, *, refused: dict[int, str] | None = None, behind: tuple[int, ...] = ()) -> None:
    """The whole page was sent, but for what comes `behind`."""
    page = outbox.page()
    send = [entry for entry in page.entries if entry.position not in behind]
    outbox.settle(
        send,
        refused or {},
        [entry for entry in page.entries if entry.position in behind],
        after=page.after,
        upto=page.upto,
    )


def test_the_first_page_begins_with_the_first_event(store: EventStore, outbox: Outbox) -> None:
    assert outbox.page() == (0, 0, [])
    store.append(CAT.done())
    page = outbox.page()
    assert (page.after, page.upto) == (0, 6)
    assert [entry.position for entry in page.entries] == [3, 4, 5, 6]


def test_a_page_ends_where_asked_and_the_next_one_follows(store: EventStore, outbox: Outbox) -> None:
    store.append([*CAT.done(), *DOG.done()])
    page = outbox.page(limit=4)
    assert (page.upto, positions(outbox, 4)) == (4, [3, 4])
    outbox.settle(page.entries, {}, [], after=0, upto=4)
    assert positions(outbox, 4) == [5, 6]


def test_the_cursor_passes_what_is_not_published(store: EventStore, outbox: Outbox) -> None:
    store.append([CAT.upload(), CAT.probed()])
    settle(outbox)
    assert outbox.page() == (2, 2, [])


def test_a_cursor_that_was_set_by_somebody_else_is_noticed(database: Database, outbox: Outbox) -> None:
    database.store.append(CAT.done())
    page = outbox.page()
    settle(outbox)
    for after in (0, 3):
        with pytest.raises(CursorMovedError):
            outbox.settle(page.entries, {3: "no"}, [], after=after, upto=6)
    assert outbox.page().after == 6
    assert outbox.held_streams() == set()

    as_owner(database, "DELETE FROM subscribers")
    with pytest.raises(CursorMovedError):
        outbox.settle([], {}, [], after=6, upto=7)
    assert outbox.page().after == 0


def test_a_refused_entry_waits_and_so_does_what_comes_behind(database: Database, reader: Connection, outbox: Outbox) -> None:
    database.store.append([CAT.thumbnails(), DOG.thumbnails(), CAT.analysis()])
    settle(outbox, refused={1: "MalformedDetail: no"}, behind=(3,))

    assert outbox.held_streams() == {CAT.stream_id}
    assert outbox.due(10) == []
    [held] = held_entries(reader, limit=10)
    assert held[:3] + held[4:] == (1, CAT.stream_id, 1, "MalformedDetail: no")
    let_time_pass(database)
    assert [entry.position for entry in outbox.due(10)] == [1]

    outbox.settle_retries(outbox.due(10), {})
    assert [entry.position for entry in outbox.due(10)] == [3]  # at once: it was never refused
    outbox.settle_retries(outbox.due(10), {})
    assert outbox.held_streams() == set()


def test_a_stream_is_tried_by_its_first_entry_only(database: Database, outbox: Outbox) -> None:
    database.store.append([CAT.thumbnails(), DOG.thumbnails(), CAT.analysis(), DOG.analysis()])
    settle(outbox, refused={1: "no", 2: "no"}, behind=(3, 4))
    let_time_pass(database)
    assert [entry.position for entry in outbox.due(10)] == [1, 2]
    assert [entry.position for entry in outbox.due(1)] == [1]


def test_waits_double_up_to_two_minutes_and_never_end(database: Database, outbox: Outbox) -> None:
    database.store.append([CAT.thumbnails()])
    settle(outbox, refused={1: "no 1"})
    waits = []
    for attempt in range(2, 9):
        [row] = rows(database.store, "SELECT retry_at - now() AS wait, attempts, error FROM outbox_held")
        assert (row["attempts"], row["error"]) == (attempt - 1, f"no {attempt - 1}")
        waits.append(round(row["wait"] / timedelta(seconds=1)))
        let_time_pass(database)
        outbox.settle_retries(outbox.due(10), {1: f"no {attempt}"})
    assert waits == [10, 20, 40, 80, 120, 120, 120]


def test_what_was_erased_while_it_was_held_is_not_told_any_more(database: Database, outbox: Outbox) -> None:
    database.store.append([CAT.thumbnails(), CAT.analysis()])
    settle(outbox, refused={1: "no"}, behind=(2,))
    erase(database, CAT)
    settle(outbox, behind=(3,))
    let_time_pass(database)

    assert outbox.due(10) == []  # 1 is dropped
    assert outbox.due(10) == []  # and 2
    [erased] = outbox.due(10)
    assert erased.detail_type == "ItemErased"


def test_lag_counts_what_is_published_and_held(database: Database, reader: Connection, outbox: Outbox) -> None:
    assert outbox_lag(reader) == Lag(0, 0.0, 0)
    database.store.append([CAT.upload(), CAT.probed(), CAT.failed("thumbnail")])
    assert outbox_lag(reader) == Lag(0, 0.0, 0)

    database.store.append([CAT.thumbnails(), CAT.analysis(), DOG.thumbnails()])
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    as_owner(database, "UPDATE events SET recorded_at = recorded_at - interval '7 minutes' WHERE position = 4")
    assert outbox_lag(reader)._replace(seconds=0) == Lag(3, 0, 0)
    assert 420 <= outbox_lag(reader).seconds < 480

    settle(outbox, refused={4: "no"}, behind=(5,))
    assert outbox_lag(reader)._replace(seconds=0) == Lag(2, 0, 2)
    assert outbox_lag(reader).seconds >= 420


def test_the_application_reads_the_lag_too(store: EventStore) -> None:
    store.append([CAT.thumbnails()])
    with store.engine.connect() as connection:
        assert outbox_lag(connection).events == 1
        assert held_entries(connection, 5) == []
        assert not relay_is_at_work(connection)


def test_there_is_one_relay_at_a_time_and_its_connection_is_its_claim(
    relay: Connection, outbox: Outbox, relay_url: str, store: EventStore
) -> None:
    engine = create_engine(relay_url)
    other = engine.connect()
    second = Outbox(other, retry_base_seconds=1, retry_max_seconds=1)
    assert second.lock()
    assert not outbox.lock()
    with store.engine.connect() as connection:
        assert relay_is_at_work(connection)
        other.close()
        engine.dispose()
        while relay_is_at_work(connection):
            connection.rollback()
    assert outbox.lock()


def test_another_subscriber_has_its_own_cursor(
    store: EventStore, relay: Connection, reader: Connection, outbox: Outbox
) -> None:
    store.append([CAT.thumbnails()])
    settle(outbox, refused={1: "no"})
    other = Outbox(relay, retry_base_seconds=1, retry_max_seconds=1, subscriber="other")
    assert positions(other) == [1]
    assert other.held_streams() == set()
    assert reader.execute(text("SELECT name FROM subscribers")).scalars().all() == [EVENTBRIDGE]
