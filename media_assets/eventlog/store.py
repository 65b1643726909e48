"""The event store on Postgres: append with optimistic concurrency and idempotent ids, read by stream or by position."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.catalogue import CATALOGUE, Payload, PayloadErased
from media_assets.eventlog.errors import ConcurrencyError, FutureSchemaError, StreamClosedError, UnknownEventTypeError
from media_assets.eventlog.events import Event, NewEvent

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL and lone surrogates: Postgres can't hold them in a text, and one would fail every event of its append."""

_READ = """
    SELECT e.*, upcast(e.type, e.schema_version, p.body) AS body FROM events e LEFT JOIN event_payloads p USING (event_id)
"""


class Appended(NamedTuple):
    """Where an event is in the log, and whether this append put it there (False: it was there already)."""

    position: int
    inserted: bool


class EventStore:
    """Appends to and reads from the log at `engine`. Threads may share one store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def connect(cls, database_url: str) -> EventStore:
        """Open a store on a SQLAlchemy URL (`postgresql+psycopg://…`) of the application's role."""
        # hide_parameters: errors end up in Dagster's event log, and parameters are keys and payloads.
        return cls(create_engine(database_url, pool_pre_ping=True, pool_size=5, max_overflow=10, hide_parameters=True))

    def append(self, events: Sequence[NewEvent], connection: Connection | None = None) -> list[Appended]:
        """Append events in their order and fold them into the read models, all in one transaction and one round trip.

        An event whose id the log already holds changes nothing and returns the position it has. With `connection`, the
        append joins that transaction (READ COMMITTED) and becomes visible when it commits.

        Raises ConcurrencyError if a new event's `expected_version` isn't its stream's version, StreamClosedError if its
        item was erased, UnknownEventTypeError or FutureSchemaError for what this log has no meaning for. Then nothing is
        written, and the transaction of `connection` can only be rolled back.
        """
        if not events:
            return []
        if connection is None:
            with self.engine.begin() as own:
                return self.append(events, own)
        batch = json.dumps([_row(event) for event in events])
        try:
            rows = connection.execute(text("SELECT * FROM append_events(CAST(:batch AS jsonb))"), {"batch": batch})
            return [Appended(position, inserted) for position, inserted in rows]
        except DBAPIError as error:
            raise _named(error) from error

    def stream(self, stream_id: str) -> list[Event]:
        """All events of a stream, oldest first; empty if there is none."""
        with self.engine.connect() as connection:
            rows = connection.execute(text(f"{_READ} WHERE stream_id = :s ORDER BY version"), {"s": stream_id})
            return [_event(row) for row in rows.mappings()]

    def since(self, position: int, limit: int = 1000) -> list[Event]:
        """Up to `limit` events after `position`, in commit order. Nothing is ever inserted before what this returned."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(f"{_READ} WHERE position > :p ORDER BY position LIMIT :n"), {"p": position, "n": limit}
            )
            return [_event(row) for row in rows.mappings()]

    def all(self, batch_size: int = 1000) -> Iterator[Event]:
        """The whole log by cursor, in commit order."""
        position = 0
        while batch := self.since(position, batch_size):
            yield from batch
            position = batch[-1].position

    def head(self) -> int:
        """Position of the newest event; 0 when the log is empty."""
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT coalesce(max(position), 0) FROM events")).scalar_one())

    def versions(self, stream_ids: Iterable[str]) -> dict[str, int]:
        """Newest version of each stream that exists."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT stream_id, max(version) FROM events WHERE stream_id = ANY(:ids) GROUP BY stream_id"),
                {"ids": list(stream_ids)},
            )
            return dict(rows.tuples().all())


def _row(event: NewEvent) -> dict[str, Any]:
    row = event.model_dump(mode="json", exclude={"payload"})
    row["type"] = event.payload.type
    row["schema_version"] = event.payload.schema_version
    row["body"] = _storable(event.payload.model_dump(mode="json"))
    return row


def _storable(value: Any) -> Any:
    """The same JSON value with U+FFFD for every character that Postgres refuses."""
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case list():
            return [_storable(each) for each in value]
        case dict():
            return {name: _storable(each) for name, each in value.items()}
        case _:
            return value


def _event(row: Any) -> Event:
    fields = dict(row)
    return Event(payload=read_payload(fields["type"], fields["schema_version"], fields.pop("body")), **fields)


def read_payload(type: str, schema_version: int, body: Mapping[str, Any] | None) -> Payload:
    """A stored body, upcast already, as its payload; None stands for an erased one.

    Raises UnknownEventTypeError or FutureSchemaError for what newer code has written.
    """
    if type not in CATALOGUE:
        raise UnknownEventTypeError(type)
    if schema_version > CATALOGUE[type].schema_version:
        raise FutureSchemaError(type, schema_version, CATALOGUE[type].schema_version)
    return PayloadErased() if body is None else CATALOGUE[type].model_validate(body)


def _named(error: DBAPIError) -> Exception:
    """The error that one of append_batch's codes stands for."""
    state = getattr(error.orig, "sqlstate", None)
    if state not in {"MA001", "MA004", "MA006", "MA007"}:
        return error
    detail = json.loads(error.orig.diag.message_detail)  # type: ignore[union-attr]
    if state == "MA001":
        return ConcurrencyError(**detail)
    if state == "MA004":
        return StreamClosedError(frozenset(detail))
    if state == "MA006":
        return UnknownEventTypeError(detail["type"])
    return FutureSchemaError(detail["type"], detail["schema_version"], detail["known"])
