"""Rebuild every read model from position 0 into a shadow schema and compare it with the live one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, text

from media_assets.eventlog.migrate import PROJECTIONS, create_read_models, fold_all

_SHADOW = "replay_shadow"


@dataclass(frozen=True)
class Verification:
    """Digests are hex SHA-256 over all read models, row by row in key order; `events` is how many were replayed."""

    identical: bool
    events: int
    live_digest: str
    replayed_digest: str


def verify_replay(owner_url: str, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Fold the log anew and compare with the live read models, as of one snapshot; the live ones stay as they are.

    `owner_url` is a SQLAlchemy URL of the owner, who may create the shadow schema; it is rolled back in the end.
    `on_progress(done, total)` is told about events. Work may go on meanwhile: the snapshot doesn't see it.
    """
    engine = create_engine(owner_url, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            # Of the session: the snapshot has to be younger than whatever a migration or a rebuild did before.
            connection.execute(text("SELECT pg_advisory_lock(7236455)"))
            connection.rollback()
            live = digest(connection, "public")
            connection.execute(text(f"CREATE SCHEMA {_SHADOW}"))
            create_read_models(connection, _SHADOW)
            head = fold_all(connection, _SHADOW, on_progress)
            replayed = digest(connection, _SHADOW)
            connection.rollback()
        return Verification(live == replayed, head, live, replayed)
    finally:
        engine.dispose()


def digest(connection: Connection, schema: str) -> str:
    """SHA-256 over every row of every read model in `schema`, streamed in primary-key order."""
    sha = hashlib.sha256()
    for table in PROJECTIONS:
        key = connection.execute(
            text(
                "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY array_position(i.indkey::int2[], a.attnum))"
                " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
                " WHERE i.indrelid = CAST(:table AS regclass) AND i.indisprimary"
            ),
            {"table": f"{schema}.{table}"},
        ).scalar_one()
        sha.update(f"{table}\n".encode())
        rows = connection.execute(
            text(f"SELECT t::text FROM {schema}.{table} t ORDER BY {key}"), execution_options={"yield_per": 1000}
        )
        for (row,) in rows:
            sha.update(f"{row}\n".encode())
    return sha.hexdigest()
