"""Guarantee 7, through the real store: what older code has written is read and folded as of today, what newer code has written
is named, and what nobody should have sent is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.catalogue import CATALOGUE, ItemErased
from media_assets.eventlog.errors import FutureSchemaError, UnknownEventTypeError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.replay import digest
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.stored import new_row
from tests.conftest import Database
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.golden_files import golden
from tests.unit.eventlog.lives import Life, rows, spending_resumed, spending_stopped

EVER_WRITTEN = sorted(golden())

cat = Life()
film = Film()
job = Job(film, has_texts_written=True)
MAKERS = {
    event.payload.type: event
    for event in (
        *film.done(),
        *film.watched(),
        *job.done(),
        job.failed(),
        job.cancelled(),
        *cat.done(),
        cat.probed(generation=1),
        cat.rejected(),
        cat.removed(),
        cat.failed("analyze"),
        cat.abandoned("analyze"),
        cat.reprocess("analyze"),
        cat.erased(),
        spending_stopped(),
        spending_resumed(0),
    )
}
"""An event of each type, for the columns beside its body."""


def raw(event: NewEvent, **changed: Any) -> dict[str, Any]:
    """An event as JSON, as any code may have sent it."""
    return new_row(event) | changed


def append_raw(connection: Connection, *batch: dict[str, Any]) -> None:
    """As code of another version would."""
    function = "erase_items" if batch[0]["type"] == ItemErased.type else "append_events"
    connection.execute(text(f"SELECT {function}(CAST(:batch AS jsonb))"), {"batch": json.dumps(batch)})


@pytest.mark.parametrize(("name", "version"), EVER_WRITTEN)
def test_what_was_written_once_reads_as_of_today(store: EventStore, owner: Connection, name: str, version: int) -> None:
    newest = golden()[name, CATALOGUE[name].schema_version]["body"]
    append_raw(owner, raw(MAKERS[name], body=golden()[name, version]["body"], schema_version=version))
    owner.commit()
    [event] = store.since(0)
    assert (event.type, event.schema_version) == (name, version)
    assert event.payload == CATALOGUE[name].model_validate(newest)
    assert rows(store, "SELECT body FROM told") == [{"body": newest}]


@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name, version in EVER_WRITTEN if version < CATALOGUE[name].schema_version]
)
def test_what_was_written_once_folds_as_of_today(owner: Connection, name: str, version: int) -> None:
    newest = CATALOGUE[name].schema_version
    digests = []
    for number in (version, newest):
        append_raw(owner, raw(cat.upload()), *[raw(event) for event in cat.processed()])
        before = digest(owner, "public")
        append_raw(owner, raw(MAKERS[name], body=golden()[name, number]["body"], schema_version=number))
        digests.append(digest(owner, "public"))
        assert digests[-1] != before
        owner.rollback()
    assert digests[0] == digests[1]


# Code that is older than the log


@pytest.fixture
def newer_log(database: Database, owner: Connection) -> Database:
    """A log to which newer code has written: a type and a version that this code doesn't know."""
    newer = [("SoundHeard", 1), ("MediaProbed", 3)]
    for name, version in newer:
        owner.execute(
            text(
                "INSERT INTO event_types VALUES (:type, :version)"
                " ON CONFLICT (type) DO UPDATE SET schema_version = excluded.schema_version"
            ),
            {"type": name, "version": version},
        )
    append_raw(
        owner,
        raw(cat.upload()),
        raw(cat.probed(), schema_version=3, body={"version_id": "v1", "measured": {"width": 4}}),
        raw(Life("dog").upload()),
        raw(Life("dog").reprocess("listen"), type="SoundHeard", body={"words": 7}),
    )
    owner.commit()
    return database


def test_what_newer_code_has_written_is_named_and_the_rest_is_read(newer_log: Database) -> None:
    store = newer_log.store
    with pytest.raises(FutureSchemaError) as future:
        store.stream(cat.stream_id)
    assert future.value == FutureSchemaError("MediaProbed", 3, 2)
    assert "upgrade what reads" in str(future.value)
    with pytest.raises(UnknownEventTypeError) as unknown:
        store.since(2)
    assert unknown.value == UnknownEventTypeError("SoundHeard")
    with pytest.raises(FutureSchemaError):
        list(store.all())
    assert [event.position for event in store.since(0, limit=1)] == [1]
    assert store.head() == 4


def test_older_code_goes_on_beside_newer_code_and_forgets_no_type_of_it(newer_log: Database, owner: Connection) -> None:
    upgrade(newer_log.owner_url)
    append_raw(owner, raw(Life("cow").reprocess("listen"), type="SoundHeard", body={"words": 7}))
    owner.commit()
    assert newer_log.store.append([Life("cow").upload(), Life("cow").probed()])[1].position == 7


# What nobody should have sent


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("event_id", "x"),
        ("event_id", None),
        ("stream_id", None),
        ("user_id", ""),
        ("user_id", None),
        ("schema_version", 0),
        ("schema_version", None),
        ("schema_version", 3),
        ("type", None),
        ("type", "MediaMelted"),
        ("occurred_at", "noon"),
        ("occurred_at", None),
        ("body", None),
        ("generation", -1),
        ("micro_dollars", -1),
        ("milliseconds", None),
        ("item_id", "cat"),
        ("job_id", "cut"),
    ],
)
def test_a_malformed_row_is_refused_whoever_made_it_and_nothing_is_written(
    database: Database, owner: Connection, field: str, wrong: object
) -> None:
    with database.store.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            append_raw(connection, raw(cat.upload()), raw(cat.probed(), **{field: wrong}))
        connection.commit()
    assert rows(owner, "SELECT * FROM events") == rows(owner, "SELECT * FROM items") == []


@pytest.mark.parametrize(("name", "field"), [("StepAbandoned", "failures"), ("MediaProbed", "content_type")])
def test_a_body_that_is_not_what_its_type_says_is_read_as_an_error_that_names_the_field(
    store: EventStore, owner: Connection, name: str, field: str
) -> None:
    """The log checks no bodies; the models that make and read them do."""
    body = {key: value for key, value in golden()[name, CATALOGUE[name].schema_version]["body"].items() if key != field}
    append_raw(owner, raw(MAKERS[name], body=body))
    owner.commit()
    with pytest.raises(ValidationError, match=field):
        store.since(0)
