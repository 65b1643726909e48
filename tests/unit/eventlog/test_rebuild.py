"""Guarantee 6: read models are a function of the log, however it came to be written. Dropped, they come back the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.replay import digest, verify_replay
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.histories import FILM, LIVES, acceptable, histories, splits, tell
from tests.unit.eventlog.lives import Life, begin_anew, rows, spending_stopped
from tests.unit.eventlog.readings import Reading, bills, is_stopped, readings

quickly = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def tell_anew(connection: Connection, store: EventStore, parts: Iterable[Sequence[NewEvent]]) -> None:
    """Tell a history in a transaction that the caller gives up, so that every example starts with an empty log."""
    connection.rollback()
    for events in parts:
        tell(events, lambda told: store.append(told, connection), lambda told: store.erase(told, connection))


def test_however_events_are_batched_the_read_models_are_the_same(database: Database, owner: Connection) -> None:
    @quickly
    @given(st.data(), histories())
    def check(data: st.DataObject, history: list[NewEvent]) -> None:
        digests = []
        for parts in ([[event] for event in history], [history], data.draw(splits(history))):
            tell_anew(owner, database.store, parts)
            digests.append(digest(owner, "public"))
        assert len(set(digests)) == 1

    check()


def test_read_models_are_what_a_plain_reading_of_the_history_says(database: Database, owner: Connection) -> None:
    @quickly
    @given(st.data(), histories())
    def check(data: st.DataObject, history: list[NewEvent]) -> None:
        tell_anew(owner, database.store, data.draw(splits(history)))
        items = {row["item_id"]: row for row in rows(owner, "SELECT * FROM items")}
        jobs = {row["job_id"]: row for row in rows(owner, "SELECT * FROM jobs")}
        steps = rows(owner, "SELECT * FROM steps")
        labels = rows(
            owner, "SELECT item_id, version_id, array_agg(label ORDER BY ordinal) AS labels FROM detections GROUP BY 1, 2"
        )
        segments = rows(
            owner, "SELECT work_id, version_id, array_agg(key ORDER BY ordinal) AS keys FROM segments GROUP BY 1, 2"
        )
        for work_id, reading in readings(history).items():
            if isinstance(reading, Reading):
                row = items.pop(work_id, None)
                assert reading.item() == (row and (row["version_id"], row["state"], row["width"]))
            else:
                row = jobs.pop(work_id, None)
                assert reading.job() == (row and (row["state"], row["progress"], row["texts"]))
            assert reading.steps() == {
                row["step"]: (row["state"], row["generation"], row["failures"]) for row in steps if row["item_id"] == work_id
            }
            assert reading.labels() == {row["version_id"]: row["labels"] for row in labels if row["item_id"] == work_id}
            assert reading.segments() == {row["version_id"]: row["keys"] for row in segments if row["work_id"] == work_id}
        assert (items, jobs) == ({}, {})
        assert bills(history) == {
            row["step"]: (row["outcomes"], row["failures"], row["milliseconds"]) for row in rows(owner, "SELECT * FROM costs")
        }
        assert is_stopped(history) == bool(rows(owner, "SELECT * FROM spending_stops"))

    check()


def test_of_an_erased_item_no_read_model_and_no_payload_knows(database: Database, owner: Connection) -> None:
    @quickly
    @given(st.data(), histories(), st.sampled_from([*LIVES, FILM]))
    def check(data: st.DataObject, history: list[NewEvent], life: Life) -> None:
        ended = acceptable([*history, life.erased()])
        tell_anew(owner, database.store, data.draw(splits(ended)))
        of_items = rows(
            owner,
            "SELECT table_name AS name FROM information_schema.columns"
            " WHERE column_name = 'item_id' AND table_schema = 'public' AND table_name = ANY(:models)",
            models=list(PROJECTIONS),
        )
        assert len(of_items) == 12
        erased = {event.job_id or event.item_id for event in ended if event.payload.type == "ItemErased"}
        assert life.item_id in erased
        for table in of_items:
            assert rows(owner, f"SELECT * FROM {table['name']} WHERE item_id = ANY(:ids)", ids=list(erased)) == []
        payloads = rows(owner, "SELECT type FROM told WHERE item_id = ANY(:ids)", ids=list(erased))
        assert [row["type"] for row in payloads] == ["ItemErased"] * len(erased)

    check()


def test_a_replay_of_random_histories_is_identical(database: Database, owner: Connection) -> None:
    """Really committed, and replayed some positions at a time into a shadow schema, made by the same migrations."""

    @settings(quickly, max_examples=8)
    @given(st.data(), histories(), st.integers(1, 9))
    def check(data: st.DataObject, history: list[NewEvent], fold_batch: int) -> None:
        begin_anew(owner)
        for events in data.draw(splits(history)):
            tell_anew(owner, database.store, [events])
            owner.commit()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("media_assets.eventlog.migrate.FOLD_BATCH", fold_batch)
            verification = verify_replay(database.owner_url)
        assert verification.identical
        assert verification.events == database.store.head()

    check()


def test_a_replay_tells_its_progress_and_leaves_nothing_behind(database: Database) -> None:
    database.store.append([event for life in LIVES for event in life.done()])
    told: list[tuple[int, int]] = []
    verification = verify_replay(database.owner_url, lambda done, total: told.append((done, total)))
    assert (verification.identical, verification.events, told) == (True, 12, [(12, 12)])
    assert verification.live_digest == verification.replayed_digest
    assert rows(database.store, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'replay%'") == []


def test_of_an_empty_log_too(database: Database) -> None:
    verification = verify_replay(database.owner_url)
    assert (verification.identical, verification.events) == (True, 0)


@pytest.mark.parametrize(
    "corruption",
    [
        "UPDATE items SET state = 'rejected' WHERE kind = 'video'",
        "UPDATE steps SET failures = failures + 1 WHERE step = 'embed'",
        "UPDATE thumbnails SET sha256 = repeat('1', 64) WHERE size = 800",
        "UPDATE detections SET confidence = confidence + 1e-15",
        "UPDATE analyses SET summary = summary || ' '",
        "UPDATE embeddings SET embedding = '[0.9999999,0,0]'",
        "DELETE FROM uploads WHERE is_poster",
        "UPDATE segments SET end_ms = end_ms + 1 WHERE job_id IS NULL AND ordinal = 1",
        "UPDATE jobs SET progress = 99",
        "INSERT INTO requested_generations SELECT item_id, 'embed', 'ada', 1, item_id FROM items WHERE kind = 'image'",
    ],
)
def test_a_read_model_that_somebody_changed_by_hand_is_found(database: Database, owner: Connection, corruption: str) -> None:
    database.store.append([*Life().done(), *Film().done(), *Job().done()])
    assert owner.execute(text(corruption)).rowcount == 1
    owner.commit()
    verification = verify_replay(database.owner_url)
    assert not verification.identical
    assert verification.live_digest != verification.replayed_digest


def test_every_read_model_counts_in_the_digest(database: Database, owner: Connection) -> None:
    life = Life()
    telling = [life.failed("probe"), life.reprocess("embed"), *Film().done(), *Job().done(), spending_stopped()]
    database.store.append([*life.done(), *telling])
    whole = digest(owner, "public")
    for table in PROJECTIONS:
        owner.execute(text(f"DELETE FROM {table}"))
        assert digest(owner, "public") != whole, table
        owner.rollback()
    assert digest(owner, "public") == whole
