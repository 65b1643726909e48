"""Guarantee 5: what an append did is in every read model when it returns; what was given up is in none."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.errors import ConcurrencyError
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import EventStore
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life, item, rows, spending_stopped, step

cat = Life()


def counts(store: EventStore) -> dict[str, int]:
    """Rows of each read model."""
    return {table: rows(store, f"SELECT count(*) FROM {table}")[0]["count"] for table in PROJECTIONS}


def test_when_append_returns_every_read_model_shows_it(store: EventStore) -> None:
    events = [cat.upload(), cat.failed("probe"), *cat.processed(), cat.reprocess("embed"), spending_stopped()]
    for event in [*events, *Film().done(), *Job().done()]:
        store.append([event])
    assert counts(store) == {
        "uploads": 4,  # one of each, and two frames
        "step_results": 9,
        "step_failures": 1,
        "requested_generations": 1,
        "thumbnails": 2,
        "detections": 1,
        "analyses": 1,
        "embeddings": 1,
        "segments": 4,
        "jobs": 1,
        "costs": 7,
        "spending_stops": 1,
        "steps": 11,
        "items": 4,
    }
    assert step(store, cat, "embed")["state"] == "pending"


def test_within_a_transaction_only_it_sees_what_it_appended(store: EventStore) -> None:
    with store.engine.connect() as connection, connection.begin():
        store.append([cat.upload()], connection)
        assert [row["state"] for row in rows(connection, "SELECT state FROM items")] == ["received"]
        assert rows(store, "SELECT state FROM items") == []
    assert item(store, cat)["state"] == "received"


def test_a_transaction_that_is_rolled_back_leaves_neither_events_nor_rows_nor_a_gap(store: EventStore) -> None:
    with store.engine.connect() as connection, connection.begin() as transaction:
        store.append(cat.done(), connection)
        transaction.rollback()
    assert store.head() == 0
    assert set(counts(store).values()) == {0}
    assert store.append([cat.upload()])[0].position == 1


def test_an_append_that_fails_takes_the_rest_of_its_transaction_back(store: EventStore) -> None:
    stale = cat.upload().model_copy(update={"expected_version": 9})
    with store.engine.connect() as connection:
        connection.execute(text("INSERT INTO contact_sheets (key, item_ids) VALUES ('previews/1', '{}')"))
        with pytest.raises(ConcurrencyError):
            store.append([stale], connection)
        connection.commit()
    assert rows(store, "SELECT * FROM contact_sheets") == []


def test_an_event_is_read_as_it_was_written(store: EventStore) -> None:
    written = [*cat.done(), cat.failed("probe"), cat.abandoned("embed"), cat.reprocess("probe"), cat.rejected("v2")]
    store.append(written)
    read = store.stream(cat.stream_id)
    for told, kept in zip(written, read, strict=True):
        assert kept.model_dump(include=set(type(told).model_fields)) == told.model_dump()
        assert (kept.type, kept.schema_version) == (told.payload.type, told.payload.schema_version)
        assert kept.payload == told.payload
    assert [event.version for event in read] == list(range(1, 11))


def test_characters_that_postgres_cannot_hold_are_replaced_and_harm_no_neighbour(store: EventStore) -> None:
    """A model may answer, and a camera may write into EXIF, what no text of Postgres can hold."""
    said = "a\0b\ud800c \\u0000 \N{CAT}"
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.analysis(summary=said, objects=[{"caption": [said]}])])

    kept = "a\ufffdb\ufffdc \\u0000 \N{CAT}"
    [analysis] = rows(store, "SELECT summary, objects FROM analyses")
    assert analysis == {"summary": kept, "objects": [{"caption": [kept]}]}


def test_the_hour_of_an_event_is_utc_wherever_it_is_told(store: EventStore) -> None:
    payload = cat.upload().payload
    assert isinstance(payload, UploadReceived)
    store.append([cat.upload()])
    assert item(store, cat)["hour"] == payload.hour
    assert item(store, cat)["hour"].utcoffset().total_seconds() == 0
