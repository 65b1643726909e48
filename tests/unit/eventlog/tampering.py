"""What somebody with every right over the database may do to the log: `tampered(database, "DELETE FROM events …")`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text

from tests.conftest import Database

RECOMPUTE_HASHES = """
    DO $$
    DECLARE
        e        events;
        previous bytea := decode(repeat('00', 32), 'hex');
    BEGIN
        FOR e IN SELECT * FROM events ORDER BY position LOOP
            previous := sha256(previous || event_bytes(e));
            UPDATE events SET hash = previous WHERE position = e.position;
        END LOOP;
    END $$
"""
"""Makes a chain of whatever the log holds now."""


def tampered(database: Database, *statements: str) -> None:
    """Execute statements as a superuser who has switched every trigger off, foreign keys too."""
    with tampering(database, *statements) as connection:
        connection.commit()


@contextmanager
def tampering(database: Database, *statements: str) -> Iterator[Connection]:
    """The same, seen by this connection alone; in the end it didn't happen."""
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        for table in ("events", "event_payloads"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.execute(text(statement))
        for table in ("events", "event_payloads"):
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))
        yield connection
    engine.dispose()


def deletion(which: str) -> tuple[str, str]:
    """Statements that delete the events for which a condition on `events` holds, and what they say."""
    return (
        f"DELETE FROM event_payloads p USING events e WHERE p.event_id = e.event_id AND e.{which}",
        f"DELETE FROM events e WHERE e.{which}",
    )
