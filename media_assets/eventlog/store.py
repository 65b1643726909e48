"""The event store on Postgres: append with optimistic concurrency and idempotent ids, read by stream or by position."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, RowMapping, create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.errors import (
    ConcurrencyError,
    FutureSchemaError,
    MixedErasureError,
    StreamClosedError,
    UnknownEventTypeError,
)
from media_assets.eventlog.events import Event, NewEvent
from media_assets.eventlog.log import Appended, Erased, EventLog
from media_assets.eventlog.stored import batch_json, read_event

_READ = """
    SELECT e.*, upcast(e.type, e.schema_version, p.body) AS body FROM events e LEFT JOIN event_payloads p USING (event_id)
"""


class EventStore(EventLog):
    """The log at `engine`, and what is folded from it. Threads may share one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, database_url: str) -> EventStore:
        """Open a store on a SQLAlchemy URL (`postgresql+psycopg://…`) of the application's role."""
        # hide_parameters: errors end up in Dagster's event log, and parameters are keys and payloads.
        return cls(create_engine(database_url, pool_pre_ping=True, pool_size=5, max_overflow=10, hide_parameters=True))

    def append(self, events: Sequence[NewEvent], connection: Connection | None = None) -> list[Appended]:
        """Append events in their order and fold them into the read models, all in one transaction and one round trip.

        With `connection`, the append joins that transaction (READ COMMITTED) and becomes visible when it commits; if it
        raises, as `EventLog.append` says, that transaction can only be rolled back.
        """
        if not events:
            return []
        rows = self._call("SELECT * FROM append_events(CAST(:batch AS jsonb))", events, connection)
        return [Appended(position, inserted) for position, inserted in rows]

    def erase(self, events: Sequence[NewEvent], connection: Connection | None = None) -> Erased:
        """Append ItemErased events and remove what was said of their items: payloads, rows of read models, claims.

        For the eraser's role. `connection` and errors are as in `append`.
        """
        [(counts,)] = self._call("SELECT erase_items(CAST(:batch AS jsonb))", events, connection)
        return Erased(**counts)

    def stream(self, stream_id: str) -> list[Event]:
        with self.engine.connect() as connection:
            rows = connection.execute(text(f"{_READ} WHERE stream_id = :s ORDER BY version"), {"s": stream_id})
            return [_event(row) for row in rows.mappings()]

    def since(self, position: int, limit: int = 1000) -> list[Event]:
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(f"{_READ} WHERE position > :p ORDER BY position LIMIT :n"), {"p": position, "n": limit}
            )
            return [_event(row) for row in rows.mappings()]

    def head(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT coalesce(max(position), 0) FROM events")).scalar_one())

    def versions(self, stream_ids: Iterable[str]) -> dict[str, int]:
        with self.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT stream_id, max(version) FROM events WHERE stream_id = ANY(:ids) GROUP BY stream_id"),
                {"ids": list(stream_ids)},
            )
            return dict(rows.tuples().all())

    def _call(self, query: str, events: Sequence[NewEvent], connection: Connection | None) -> Sequence[Row[Any]]:
        """The rows of a query on a `:batch` of events, in a transaction of its own unless there is a `connection`."""
        if connection is None:
            # The statement is the transaction: its lock is not held for another round trip.
            with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as own:
                return self._call(query, events, own)
        batch = batch_json(events)
        try:
            return connection.execute(text(query), {"batch": batch}).all()
        except DBAPIError as error:
            raise _named(error) from error


def _event(row: RowMapping) -> Event:
    columns = dict(row)
    return read_event(columns, columns.pop("body"))


def _named(error: DBAPIError) -> Exception:
    """The error that one of append_batch's codes stands for."""
    state = getattr(error.orig, "sqlstate", None)
    if state == "MA005":
        return MixedErasureError()
    if state not in {"MA001", "MA004", "MA006", "MA007"}:
        return error
    detail = json.loads(error.orig.diag.message_detail)  # type: ignore[union-attr]
    if state == "MA001":
        return ConcurrencyError(detail["stream_id"], detail["expected"], detail["actual"])
    if state == "MA004":
        return StreamClosedError(frozenset(detail))
    if state == "MA006":
        return UnknownEventTypeError(detail["type"])
    return FutureSchemaError(detail["type"], detail["schema_version"], detail["known"])
