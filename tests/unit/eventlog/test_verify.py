"""Guarantee 8: whatever is done to the log by somebody who may do anything, verification names the first event of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from media_assets.eventlog.chain import CHAINED, GENESIS, payload_digest
from media_assets.eventlog.events import item_erased
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.verify import Broken, NoSuchPositionError, Verified, verify_chain
from tests.conftest import Database
from tests.unit.eventlog.lives import NOON, Life, rows, spending_stopped
from tests.unit.eventlog.tampering import RECOMPUTE_HASHES, deletion, tampered, tampering

CAT, DOG, OWL = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "owl"))
HEAD = 19


@pytest.fixture
def log(database: Database) -> Database:
    """Three lives told by turns (cat 1, 4, 7, …; dog 2, 5, 8, …; owl 3, 6, 9, …), then one event of ada's account."""
    lives = zip(*(life.done() for life in (CAT, DOG, OWL)), strict=True)
    database.store.append([event for at_once in lives for event in at_once])
    database.store.append([spending_stopped()])
    return database


@pytest.fixture
def reader(database: Database) -> Iterator[Connection]:
    """A connection of the application's role: verifying takes no more than reading."""
    with database.store.engine.connect() as connection:
        yield connection


def hashes(store: EventStore) -> dict[int, bytes]:
    return {event.position: event.hash for event in store.since(0)}


def where(found: Verified | Broken) -> tuple[int, str | None, int | None]:
    assert isinstance(found, Broken), found
    return found.position, found.stream_id, found.version


def test_an_untouched_log_is_intact(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    assert verify_chain(reader) == Verified(events=HEAD, head=HEAD, hash=known[HEAD], anchors=0)
    assert verify_chain(reader, anchors=known) == Verified(events=HEAD, head=HEAD, hash=known[HEAD], anchors=HEAD)


def test_an_empty_log_is_intact(reader: Connection) -> None:
    assert verify_chain(reader) == Verified(events=0, head=0, hash=GENESIS, anchors=0)


def test_the_chain_covers_every_clear_column(database: Database) -> None:
    columns = rows(database.store, "SELECT column_name FROM information_schema.columns WHERE table_name = 'events'")
    assert {row["column_name"] for row in columns} == {*CHAINED, "hash"}


CHANGES = {
    "user_id": "'eve'",
    "type": "'AnalysisCompleted'",
    "schema_version": "2",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "recorded_at": "'infinity'",
    "event_id": "gen_random_uuid()",
    "item_id": "NULL",
    "recipe": "'r2'",
    "target_reason": "'few_items'",
    "milliseconds": "milliseconds + 1",
    "micro_dollars": "1",
    "attempt_id": "'a1'",
    "causation_id": "gen_random_uuid()",
    "payload_sha256": "sha256('')",
    "hash": "sha256('')",
}


def test_a_changed_column_is_found(log: Database) -> None:
    for column, value in CHANGES.items():
        with tampering(log, f"UPDATE events SET {column} = {value} WHERE position = 8") as connection:
            found = verify_chain(connection)
            assert where(found) == (8, DOG.stream_id, 3), column
            assert "its hash should be " in str(found)


def test_an_event_that_was_moved_to_another_stream_is_found(log: Database, reader: Connection) -> None:
    tampered(log, f"UPDATE events SET stream_id = '{OWL.stream_id}', version = 7 WHERE position = 5")
    found = verify_chain(reader)
    assert where(found) == (5, OWL.stream_id, 7)
    assert "it is version 7 of its stream where 2 is due" in str(found)


def test_a_changed_payload_is_found(log: Database, reader: Connection) -> None:
    changed = "UPDATE event_payloads SET body = jsonb_set(body, '{width}', '41') WHERE event_id ="
    tampered(log, f"{changed} (SELECT event_id FROM events WHERE position = 6)")
    found = verify_chain(reader)
    assert where(found) == (6, OWL.stream_id, 2)
    was, now = (payload_digest(OWL.probed(width=width).payload.model_dump(mode="json")).hex() for width in (40, 41))
    assert f"its payload's SHA-256 should be {was} and is {now}" in str(found)


def test_a_payload_that_was_removed_without_an_erasure_is_found(log: Database, reader: Connection) -> None:
    tampered(log, "DELETE FROM event_payloads WHERE event_id = (SELECT event_id FROM events WHERE position = 10)")
    found = verify_chain(reader)
    assert where(found) == (10, CAT.stream_id, 4)
    assert "its payload is gone" in str(found)


def test_an_event_before_the_first_one_of_its_stream_that_has_no_payload_is_found(log: Database, reader: Connection) -> None:
    """An end of another stream excuses nothing."""
    erase(log, CAT)
    tampered(log, "DELETE FROM event_payloads WHERE event_id = (SELECT event_id FROM events WHERE position = 2)")
    assert where(verify_chain(reader)) == (2, DOG.stream_id, 1)


def test_after_an_erasure_the_chain_is_intact(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    erase(log, DOG)
    found = verify_chain(reader, anchors=known)
    assert isinstance(found, Verified)
    assert (found.events, found.anchors) == (HEAD + 1, HEAD)
    missing = rows(log.store, "SELECT position FROM events LEFT JOIN event_payloads USING (event_id) WHERE body IS NULL")
    assert sorted(row["position"] for row in missing) == [2, 5, 8, 11, 14, 17]


def test_the_payload_of_an_erasure_itself_has_to_be_there(log: Database, reader: Connection) -> None:
    erase(log, DOG)
    tampered(log, "DELETE FROM event_payloads WHERE event_id = (SELECT event_id FROM events WHERE type = 'ItemErased')")
    assert where(verify_chain(reader)) == (HEAD + 1, DOG.stream_id, 7)


def test_a_deleted_stream_is_found(log: Database, reader: Connection) -> None:
    """What was at a position can't be told from a log that no longer has it."""
    tampered(log, *deletion(f"stream_id = '{OWL.stream_id}'"))
    found = verify_chain(reader)
    assert where(found) == (3, None, None)
    assert str(found) == "the log is broken at position 3: no event is there; 2 is followed by 4"


def test_an_event_that_was_deleted_and_those_after_it_renumbered_is_found(log: Database, reader: Connection) -> None:
    tampered(log, *deletion("position = 9"), "UPDATE events SET position = position - 1 WHERE position > 9")
    found = verify_chain(reader)
    assert where(found) == (9, CAT.stream_id, 4)  # the cat's, which was tenth
    assert "its hash should be " in str(found)


def test_a_stream_that_was_renumbered_too_is_found(log: Database, reader: Connection) -> None:
    tampered(
        log,
        *deletion("position = 7"),
        "UPDATE events SET position = position - 1 WHERE position > 7",
        f"UPDATE events SET version = version - 1 WHERE stream_id = '{CAT.stream_id}' AND position > 7",
    )
    assert where(verify_chain(reader)) == (7, DOG.stream_id, 3)


def test_an_event_that_is_missing_in_its_stream_is_found(log: Database, reader: Connection) -> None:
    """Its successor's hash can be made to fit, its version can't without changing every later one."""
    tampered(log, *deletion("position = 7"), "UPDATE events SET position = position - 1 WHERE position > 7", RECOMPUTE_HASHES)
    found = verify_chain(reader)
    assert where(found) == (9, CAT.stream_id, 4)
    assert "it is version 4 of its stream where 3 is due" in str(found)


def test_two_events_that_changed_places_are_found(log: Database, reader: Connection) -> None:
    tampered(
        log,
        "UPDATE events SET position = -4 WHERE position = 4",
        "UPDATE events SET position = 4 WHERE position = 11",
        "UPDATE events SET position = 11 WHERE position = -4",
    )
    found = verify_chain(reader)
    assert where(found) == (4, DOG.stream_id, 4)
    assert "it is version 4 of its stream where 2 is due" in str(found)


def test_two_events_of_different_streams_that_changed_places_are_found(log: Database, reader: Connection) -> None:
    tampered(
        log,
        "UPDATE events SET position = -4 WHERE position = 4",
        "UPDATE events SET position = 4 WHERE position = 5",
        "UPDATE events SET position = 5 WHERE position = -4",
    )
    found = verify_chain(reader)
    assert where(found) == (4, DOG.stream_id, 2)
    assert "its hash should be " in str(found)


INSERTION = (
    "UPDATE events SET position = position + 1000 WHERE position > 5",
    "UPDATE events SET position = position - 999 WHERE position > 5",
    """
    WITH forged AS (
        INSERT INTO events (position, event_id, stream_id, version, type, schema_version, occurred_at, recorded_at, user_id,
                            payload_sha256, hash)
        VALUES (6, gen_random_uuid(), 'account-eve', 1, 'SpendingResumed', 1, now(), now(), 'eve',
                payload_digest('{"reason": "day"}'), sha256(''))
        RETURNING event_id
    )
    INSERT INTO event_payloads SELECT event_id, '{"reason": "day"}' FROM forged
    """,
)


def test_an_inserted_event_is_found(log: Database, reader: Connection) -> None:
    tampered(log, *INSERTION)
    found = verify_chain(reader)
    assert where(found) == (6, "account-eve", 1)
    assert "its hash should be " in str(found)


def test_an_inserted_event_whose_hash_fits_is_found_by_the_next_one(log: Database, reader: Connection) -> None:
    fitting = (
        "UPDATE events e SET hash = sha256(b.hash || event_bytes(e)) FROM events b WHERE e.position = 6 AND b.position = 5"
    )
    tampered(log, *INSERTION, fitting)
    assert where(verify_chain(reader)) == (7, OWL.stream_id, 2)


def test_a_position_that_two_events_have_is_found(log: Database, reader: Connection) -> None:
    tampered(log, "ALTER TABLE events DROP CONSTRAINT events_pkey", "UPDATE events SET position = 4 WHERE position = 5")
    found = verify_chain(reader)
    assert isinstance(found, Broken)
    assert found.position == 4


def test_a_cut_tail_is_found_by_an_anchor_alone(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    tampered(log, *deletion("position > 12"))
    assert isinstance(verify_chain(reader), Verified)
    found = verify_chain(reader, anchors={10: known[10], 14: known[14], 15: known[15]})
    assert where(found) == (13, None, None)
    assert "the log ends at position 12, an anchor knows an event at 14: the end was cut off" in str(found)


def test_a_tail_that_was_cut_and_told_anew_is_found_by_an_anchor(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    tampered(log, *deletion("position > 12"))
    log.store.append([Life(f"uploads/eve/{number}.jpg").upload() for number in range(4)])
    found = verify_chain(reader, anchors={10: known[10], 14: known[14]})
    assert where(found) == (14, Life("uploads/eve/1.jpg").stream_id, 1)
    assert "something after position 10 was changed" in str(found)


def test_hashes_that_were_computed_anew_after_a_change_are_found_by_an_anchor_alone(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    tampered(log, "UPDATE events SET user_id = 'eve' WHERE position = 6", RECOMPUTE_HASHES)
    assert isinstance(verify_chain(reader), Verified)
    assert isinstance(verify_chain(reader, anchors={5: known[5]}), Verified)
    found = verify_chain(reader, anchors={3: known[3], 5: known[5], 8: known[8], 12: known[12]})
    assert where(found) == (8, DOG.stream_id, 3)
    now = hashes(log.store)[8]
    assert f"its hash is {now.hex()}, an anchor says {known[8].hex()}: something after position 5 was changed" in str(found)


def test_from_a_position_on_what_came_before_is_trusted(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    tampered(log, "UPDATE events SET user_id = 'eve' WHERE position = 6")
    assert where(verify_chain(reader, since=5)) == (6, OWL.stream_id, 2)
    assert verify_chain(reader, since=6) == Verified(events=HEAD - 6, head=HEAD, hash=known[HEAD], anchors=0)
    anchors = {4: b"wrong" * 6, 6: known[6], 9: known[9]}
    assert verify_chain(reader, since=6, anchors=anchors) == Verified(events=HEAD - 6, head=HEAD, hash=known[HEAD], anchors=2)


def test_the_hash_to_begin_with_is_compared_with_an_anchor(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    tampered(log, "UPDATE events SET user_id = 'eve' WHERE position = 6", RECOMPUTE_HASHES)
    assert where(verify_chain(reader, since=6, anchors={6: known[6]}))[0] == 6
    assert isinstance(verify_chain(reader, since=6), Verified)


def test_from_the_head_on_there_is_nothing_to_verify(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    assert verify_chain(reader, since=HEAD) == Verified(events=0, head=HEAD, hash=known[HEAD], anchors=0)


def test_beyond_the_head_there_is_nothing_unless_an_anchor_knows_better(log: Database, reader: Connection) -> None:
    known = hashes(log.store)
    with pytest.raises(NoSuchPositionError, match="there is no position 23; the log ends at 19"):
        verify_chain(reader, since=HEAD + 4, anchors={HEAD: known[HEAD]})
    found = verify_chain(reader, since=HEAD + 4, anchors={HEAD + 2: known[HEAD]})
    assert str(found).startswith(
        "the log is broken at position 20: the log ends at position 19, an anchor knows an event at 21"
    )
    tampered(log, *deletion("position = 9"))
    assert str(verify_chain(reader, since=9)).startswith("the log is broken at position 9: no event is there")
    with pytest.raises(ValueError, match="-1"):
        verify_chain(reader, since=-1)


def test_the_first_of_several_breaks_is_named(log: Database, reader: Connection) -> None:
    tampered(log, "UPDATE events SET user_id = 'eve' WHERE position IN (5, 9)", *deletion("position = 12"))
    assert where(verify_chain(reader)) == (5, DOG.stream_id, 2)


def test_progress_is_told_and_ends_at_the_head(database: Database, reader: Connection) -> None:
    database.store.append([Life(f"uploads/ada/{number}.jpg").upload() for number in range(1200)])
    told: list[tuple[int, int]] = []
    verify_chain(reader, since=100, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(400, 1100), (900, 1100), (1100, 1100)]


def test_memory_does_not_grow_with_the_log(database: Database, reader: Connection) -> None:
    """Of 4,000 events with 2 kB each, a few hundred are held at a time."""
    words = "word " * 400
    for start in range(0, 4000, 500):
        lives = [Life(f"uploads/ada/{number}.jpg") for number in range(start, start + 500)]
        database.store.append([life.analysis(summary=words) for life in lives])
    tracemalloc.start()
    verify_chain(reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def erase(log: Database, life: Life) -> None:
    """As the eraser's role does."""
    event = item_erased(life.item_id, reason="asked for", user_id="ada", occurred_at=NOON)
    eraser = EventStore.connect(log.owner_url.replace("//postgres@", "//media_assets_eraser@"))
    eraser.erase([event])
    eraser.engine.dispose()
