"""Proves that the log holds what was appended to it, or names the first event where it doesn't.

In Python, from the rows alone: what the database's own functions would say of a log that somebody with rights over them
has changed is worth nothing. docs/event-log.md describes the bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from media_assets.eventlog.chain import CHAINED, GENESIS, event_bytes, link

_ROWS_AT_ONCE = 500
_MOMENTS = ("occurred_at", "recorded_at")
# Times as integers, since Postgres holds some that Python can't; those that aren't finite are no time at all.
_COLUMNS = ", ".join(
    f"CASE WHEN isfinite(e.{name}) THEN (extract(epoch FROM e.{name}) * 1000000)::bigint END AS {name}"
    if name in _MOMENTS
    else f"e.{name}"
    for name in CHAINED
)
# `in_order`: with the version before it, once each and not later in the log. By one look into the index of streams, so that
# no stream has to be remembered.
_LOG = f"""
    SELECT {_COLUMNS}, e.hash, p.body::text AS payload,
           p.event_id IS NULL AND EXISTS (
               SELECT FROM events x WHERE x.stream_id = e.stream_id AND x.version > e.version AND x.type = 'ItemErased'
           ) AS erased,
           least(e.version, 2) = (
               SELECT count(*) FROM events x
               WHERE x.stream_id = e.stream_id AND x.version BETWEEN e.version - 1 AND e.version AND x.position <= e.position
           ) AS in_order
    FROM events e LEFT JOIN event_payloads p USING (event_id)
    WHERE e.position > :since ORDER BY e.position
"""


@dataclass(frozen=True)
class Verified:
    """The log is intact from after `since` to `head`, whose hash is `hash`; `anchors` is how many were compared."""

    events: int
    head: int
    hash: bytes
    anchors: int


class NoSuchPositionError(LookupError):
    """Somebody asks for what follows a position that the log has never come to, as far as is known."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(f"there is no position {position}; the log ends at {head}")
        self.position, self.head = position, head


@dataclass(frozen=True)
class Broken:
    """The first break, as a sentence. An event that is missing has neither stream nor version."""

    position: int
    stream_id: str | None
    version: int | None
    reason: str

    def __str__(self) -> str:
        where = "" if self.stream_id is None else f" (version {self.version} of stream {self.stream_id})"
        return f"the log is broken at position {self.position}{where}: {self.reason}"


def verify_chain(
    connection: Connection,
    since: int = 0,
    anchors: Mapping[int, bytes] = {},
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verified | Broken:
    """Read the log once, from after `since` on, by a cursor: memory doesn't grow with it.

    `anchors` says which hash a position had when it was written down elsewhere; only an anchor finds a log whose hashes were
    computed anew after a change, or whose tail was cut. Read them before calling this: the log may grow meanwhile, but not
    they. The hash at `since` is trusted unless an anchor contradicts it, and what comes before isn't looked at.

    `connection` may be of any role that may read the log; it mustn't be in autocommit. `on_progress(done, total)` counts
    events. Raises ValueError for a negative `since`, and NoSuchPositionError for one beyond the head unless an anchor, too, is
    beyond it.
    """
    if since < 0:
        raise ValueError(f"positions count from 1, so nothing is since {since}")
    head: int = connection.execute(text("SELECT coalesce(max(position), 0) FROM events")).scalar_one()
    hash = GENESIS
    if since:
        known = connection.execute(text("SELECT hash FROM events WHERE position = :p"), {"p": since}).scalar()
        if known is None and since > head:
            if beyond := min((anchored for anchored in anchors if anchored > head), default=None):
                return cut_off(head, beyond)
            raise NoSuchPositionError(since, head)
        if known is None:
            return Broken(since, None, None, f"no event is there; the log ends at position {head}")
        if reason := _contradicted(anchors, since, known):
            return Broken(since, None, None, reason)
        hash = known

    position = since
    with connection.execute(text(_LOG), {"since": since}, execution_options={"yield_per": _ROWS_AT_ONCE}) as rows:
        for row in rows:
            if row.position > position + 1:
                return Broken(position + 1, None, None, f"no event is there; {position} is followed by {row.position}")
            hash = link(hash, event_bytes(row._asdict()))
            reason = _misplaced(connection, row, position) or _changed(row, hash) or _contradicted(anchors, row.position, hash)
            if reason:
                return Broken(row.position, row.stream_id, row.version, reason)
            position = row.position
            if position % _ROWS_AT_ONCE == 0 or position >= head:
                on_progress(position - since, max(head, position) - since)

    beyond = min((anchored for anchored in anchors if anchored > position), default=None)
    if beyond is not None:
        return cut_off(position, beyond)
    return Verified(position - since, position, hash, sum(anchored >= since for anchored in anchors))


def cut_off(head: int, anchored: int) -> Broken:
    """What a log is that ends before a position that was anchored."""
    reason = f"the log ends at position {head}, an anchor knows an event at {anchored}: the end was cut off"
    return Broken(head + 1, None, None, reason)


def _misplaced(connection: Connection, row: Row[Any], previous: int) -> str | None:
    if row.position <= previous:
        return "two events are there"
    if row.in_order:
        return None
    due = connection.execute(
        text("SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream_id = :stream_id AND position < :position"),
        {"stream_id": row.stream_id, "position": row.position},
    ).scalar_one()
    return f"it is version {row.version} of its stream where {due} is due: an event was removed, inserted or moved"


def _changed(row: Row[Any], hash: bytes) -> str | None:
    if row.hash != hash:
        return (
            f"its hash should be {hash.hex()}, by its clear columns and the hash before it, and is {_hex(row.hash)}:"
            " the event was changed, removed, inserted or moved"
        )
    if row.payload is None:
        return None if row.erased else "its payload is gone, and no ItemErased follows in its stream"
    digest = hashlib.sha256(row.payload.encode()).digest()
    if row.payload_sha256 != digest:
        return f"its payload's SHA-256 should be {_hex(row.payload_sha256)} and is {digest.hex()}: the payload was changed"
    return None


def _contradicted(anchors: Mapping[int, bytes], position: int, hash: bytes) -> str | None:
    anchored = anchors.get(position)
    if anchored is None or anchored == hash:
        return None
    agreed = max((before for before in anchors if before < position), default=0)
    return (
        f"its hash is {hash.hex()}, an anchor says {anchored.hex()}: something after position {agreed} was changed, and the"
        " hashes were computed anew"
    )


def _hex(digest: bytes | None) -> str:
    return "missing" if digest is None else digest.hex()
