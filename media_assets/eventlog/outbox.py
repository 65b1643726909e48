"""The outbox: how far the log has been published, and what could not be so far.

A cursor over the log's positions, and beside it the entries that were refused. Those hold back their own stream and nothing
else: what follows in it waits behind them, in order. Both change after an entry was sent, so a crash in between sends it
again and never forgets it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from media_assets.eventlog.published import PUBLISHED, Entry, entries_at, entries_between

EVENTBRIDGE = "eventbridge"
"""The subscriber that publishes; its name in `subscribers` and `outbox_held`."""
PAGE = 500
"""Positions that are looked at together."""
_LOCK = 7236458


@dataclass
class CursorMovedError(Exception):
    """The cursor is not where it was read: somebody else publishes, or has set it. Nothing was written."""

    expected: int

    def __str__(self) -> str:
        return f"the outbox's cursor is no longer at {self.expected}: read it again"


class Page(NamedTuple):
    """The published part of the positions after < position <= upto; `upto` equals `after` at the log's end."""

    after: int
    upto: int
    entries: list[Entry]


class Outbox:
    """What one subscriber has still to publish, on a connection that is its own and outside of any transaction."""

    def __init__(
        self,
        connection: Connection,
        *,
        retry_base_seconds: float,
        retry_max_seconds: float,
        subscriber: str = EVENTBRIDGE,
    ) -> None:
        self._connection = connection
        self._subscriber = subscriber
        self._backoff = {"base": retry_base_seconds, "most": retry_max_seconds}

    def lock(self) -> bool:
        """Become the one who publishes, for as long as the connection lasts; False if somebody else is."""
        with self._connection.begin():
            return bool(self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one())

    def page(self, limit: int = PAGE) -> Page:
        """What follows the cursor, at most `limit` positions of it."""
        with self._connection.begin():
            after = _cursor(self._connection, self._subscriber)
            upto = self._connection.execute(
                text(
                    "SELECT max(position) FROM (SELECT position FROM events WHERE position > :p ORDER BY position LIMIT :n) p"
                ),
                {"p": after, "n": limit},
            ).scalar_one()
            if upto is None:
                return Page(after, after, [])
            return Page(after, upto, entries_between(self._connection, after, upto))

    def held_streams(self) -> set[str]:
        """Streams of which nothing may be sent but their first held entry."""
        with self._connection.begin():
            rows = self._connection.execute(
                text("SELECT DISTINCT stream_id FROM outbox_held WHERE subscriber = :s"), {"s": self._subscriber}
            )
            return set(rows.scalars())

    def due(self, limit: int) -> list[Entry]:
        """Held entries to try now, at most one of a stream. What was erased meanwhile is held no longer."""
        with self._connection.begin():
            positions = self._connection.execute(
                text("""
                    SELECT position FROM (
                        SELECT DISTINCT ON (stream_id) position, retry_at FROM outbox_held
                        WHERE subscriber = :s ORDER BY stream_id, position
                    ) first WHERE retry_at <= now() ORDER BY position LIMIT :n
                """),
                {"s": self._subscriber, "n": limit},
            )
            wanted = list(positions.scalars())
            entries = entries_at(self._connection, wanted) if wanted else []
            self._release(set(wanted) - {entry.position for entry in entries})
            return entries

    def settle_retries(self, entries: Sequence[Entry], refused: Mapping[int, str]) -> None:
        """`entries` of `due` were sent. `refused` says what was said against some, by position; they are tried again later."""
        with self._connection.begin():
            self._release({entry.position for entry in entries} - refused.keys())
            self._hold([entry for entry in entries if entry.position in refused], refused)

    def settle(
        self, sent: Sequence[Entry], refused: Mapping[int, str], behind: Sequence[Entry], *, after: int, upto: int
    ) -> None:
        """Everything from `after` to `upto` was `sent` or comes `behind` a held entry: the cursor moves on.

        Raises CursorMovedError.
        """
        with self._connection.begin():
            self._hold([entry for entry in sent if entry.position in refused], refused)
            self._hold(behind, {})
            moved = self._connection.execute(
                text("""
                    INSERT INTO subscribers AS c (name, position)
                    SELECT :s, :upto WHERE :after = 0 OR EXISTS (SELECT FROM subscribers WHERE name = :s)
                    ON CONFLICT (name) DO UPDATE SET position = excluded.position, updated_at = now()
                    WHERE c.position = :after
                """),
                {"s": self._subscriber, "after": after, "upto": upto},
            ).rowcount
            if not moved:
                raise CursorMovedError(after)

    def _hold(self, entries: Sequence[Entry], errors: Mapping[int, str]) -> None:
        """With an error the entry was tried once more; without one it waits for those before it."""
        if not entries:
            return
        self._connection.execute(
            text("""
                INSERT INTO outbox_held AS h (subscriber, position, stream_id, attempts, retry_at, error)
                VALUES (:s, :position, :stream_id, :attempts, now() + make_interval(secs => :wait), :error)
                ON CONFLICT (subscriber, position) DO UPDATE
                SET attempts = h.attempts + 1, error = excluded.error,
                    retry_at = now() + make_interval(secs => least(:most, :base * 2 ^ least(h.attempts, 30)))
                WHERE excluded.error IS NOT NULL
            """),
            [
                {
                    **self._backoff,
                    "s": self._subscriber,
                    "position": entry.position,
                    "stream_id": entry.stream_id,
                    "attempts": 1 if entry.position in errors else 0,
                    "wait": self._backoff["base"] if entry.position in errors else 0,
                    "error": errors.get(entry.position),
                }
                for entry in entries
            ],
        )

    def _release(self, positions: Collection[int]) -> None:
        if positions:
            self._connection.execute(
                text("DELETE FROM outbox_held WHERE subscriber = :s AND position = ANY(:positions)"),
                {"s": self._subscriber, "positions": list(positions)},
            )


class Lag(NamedTuple):
    """What is still to be published: how many events, the age of the oldest in seconds (0.0 without any), and how many of
    them are held because they, or one before them in their stream, were refused."""

    events: int
    seconds: float
    held: int


def outbox_lag(connection: Connection, subscriber: str = EVENTBRIDGE) -> Lag:
    """Counts events of the published types only; those after the cursor are read, so it costs as much as there is lag."""
    row = connection.execute(
        text("""
            SELECT count(*) AS events, count(*) FILTER (WHERE is_held) AS held,
                   greatest(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0)::float AS seconds
            FROM (
                SELECT recorded_at, false AS is_held FROM events WHERE position > :cursor AND type = ANY(:types)
                UNION ALL
                SELECT e.recorded_at, true FROM outbox_held h JOIN events e USING (position) WHERE h.subscriber = :s
            ) unpublished
        """),
        {"cursor": _cursor(connection, subscriber), "types": list(PUBLISHED), "s": subscriber},
    ).one()
    return Lag(row.events, row.seconds or 0.0, row.held)


class Held(NamedTuple):
    """The first held entry of a stream: how often it was refused, when it is tried again, and what was said against it."""

    position: int
    stream_id: str
    attempts: int
    retry_at: datetime
    error: str


def held_entries(connection: Connection, limit: int, subscriber: str = EVENTBRIDGE) -> list[Held]:
    """The refused entries that hold back a stream, those that were refused longest first."""
    rows = connection.execute(
        text("""
            SELECT position, stream_id, attempts, retry_at, error FROM outbox_held
            WHERE subscriber = :s AND attempts > 0 ORDER BY position LIMIT :n
        """),
        {"s": subscriber, "n": limit},
    )
    return [Held(*row) for row in rows]


def relay_is_at_work(connection: Connection) -> bool:
    """Whether somebody holds the lock of the one who publishes."""
    return bool(
        connection.execute(
            text("""
                SELECT EXISTS (
                    SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted
                      AND l.classid = 0 AND l.objid = :key AND l.objsubid = 1)
            """),
            {"key": _LOCK},
        ).scalar_one()
    )


def _cursor(connection: Connection, subscriber: str) -> int:
    """0 for a subscriber that has never published: it begins with the first event."""
    found = connection.execute(text("SELECT position FROM subscribers WHERE name = :s"), {"s": subscriber}).scalar_one_or_none()
    return found or 0
