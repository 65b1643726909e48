"""Guarantee 1: what happened stays as it was told. Neither the application nor the owner changes the log by accident."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.migrate import PROJECTIONS
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, rows

CHANGES = [
    "UPDATE events SET user_id = 'eve'",
    "DELETE FROM events",
    "TRUNCATE events CASCADE",
    "INSERT INTO events SELECT * FROM events ON CONFLICT (position) DO UPDATE SET user_id = 'eve'",
    "MERGE INTO events e USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
    "UPDATE event_payloads SET body = '{}'",
    "DELETE FROM event_payloads",
    "TRUNCATE event_payloads",
]


@pytest.fixture
def owner(database: Database, owner: Connection) -> Connection:
    """The owner, who may do anything, at a log that holds one life."""
    database.store.append(Life().done())
    return owner


def error_code(connection: Connection, statement: str) -> str:
    with pytest.raises(DBAPIError) as refused:
        connection.execute(text(statement))
    connection.rollback()
    return str(getattr(refused.value.orig, "sqlstate", None))


def test_the_application_may_not_touch_the_log_except_by_appending(database: Database) -> None:
    database.store.append(Life().done())
    before = database.store.since(0)
    with database.store.engine.connect() as connection:
        for change in [*CHANGES, "INSERT INTO events SELECT * FROM events", "INSERT INTO event_payloads VALUES (NULL, '{}')"]:
            assert error_code(connection, change) == "42501", change  # insufficient privilege
    assert database.store.since(0) == before


def test_the_application_may_not_write_read_models_except_by_appending(database: Database) -> None:
    database.store.append(Life().done())
    with database.store.engine.connect() as connection:
        for table in PROJECTIONS:
            for change in (f"UPDATE {table} SET user_id = 'eve'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                assert error_code(connection, change) == "42501", change
            assert error_code(connection, f"INSERT INTO {table} SELECT * FROM {table}") == "42501"
        assert error_code(connection, "SELECT fold(1, 5)") == "42501"


def test_payloads_of_an_erased_item_may_go_and_none_else(database: Database, owner: Connection) -> None:
    """Not even with ItemErased in the log does the payload of ItemErased go, or that of another item."""
    dog = Life("uploads/ada/dog.jpg")
    database.store.append(dog.done())
    database.store.erase([dog.erased()], owner)
    owner.commit()
    assert error_code(owner, "DELETE FROM event_payloads") == "MA002"
    for life in (Life(), dog):
        of_item = f"event_id IN (SELECT event_id FROM events WHERE item_id = '{life.item_id}')"
        assert error_code(owner, f"DELETE FROM event_payloads WHERE {of_item}") == "MA002"
    assert rows(owner, "SELECT type FROM told ORDER BY position") == [
        {"type": event.payload.type} for event in [*Life().done(), dog.erased()]
    ]


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_even_the_owner_is_refused(owner: Connection, role: str) -> None:
    """`replica` silences ordinary triggers, as a restore or a replication worker does."""
    before = rows(owner, "SELECT * FROM events JOIN event_payloads USING (event_id) ORDER BY position")
    for change in CHANGES:
        owner.execute(text(f"SET session_replication_role = {role}"))
        owner.commit()
        assert error_code(owner, change) == "MA002", change
    assert rows(owner, "SELECT * FROM events JOIN event_payloads USING (event_id) ORDER BY position") == before
