"""Rebuild every read model from position 0 into a shadow schema and compare it with the live one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, create_engine, text

from media_assets.eventlog.migrate import PROJECTIONS, create_read_models, fold_all

_SHADOW = "replay_shadow"


@dataclass(frozen=True)
class Differing:
    """A read model that isn't what the log says, and how many rows it has live and replayed."""

    read_model: str
    live_rows: int
    replayed_rows: int

    def __str__(self) -> str:
        return f"{self.read_model} ({self.live_rows} rows live, {self.replayed_rows} replayed)"


@dataclass(frozen=True)
class Verification:
    """Digests are hex SHA-256 over those of all read models; `events` is how many were replayed."""

    events: int
    live_digest: str
    replayed_digest: str
    differing: tuple[Differing, ...]

    @property
    def identical(self) -> bool:
        return not self.differing


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
            live = _read_models(connection, "public")
            connection.execute(text(f"CREATE SCHEMA {_SHADOW}"))
            create_read_models(connection, _SHADOW)
            head = fold_all(connection, _SHADOW, on_progress)
            replayed = _read_models(connection, _SHADOW)
            connection.rollback()
        differing = [
            Differing(table, live[table].rows, replayed[table].rows) for table in PROJECTIONS if live[table] != replayed[table]
        ]
        return Verification(head, _combined(live), _combined(replayed), tuple(differing))
    finally:
        engine.dispose()


def digest(connection: Connection, schema: str) -> str:
    """One for all read models in `schema`: SHA-256 over those of every read model."""
    return _combined(_read_models(connection, schema))


class _ReadModel(NamedTuple):
    rows: int
    sha256: bytes


def _read_models(connection: Connection, schema: str) -> dict[str, _ReadModel]:
    return {table: _read_model(connection, schema, table) for table in PROJECTIONS}


def _combined(read_models: Mapping[str, _ReadModel]) -> str:
    return hashlib.sha256(b"".join(each.sha256 for each in read_models.values())).hexdigest()


def _read_model(connection: Connection, schema: str, table: str) -> _ReadModel:
    """Over every row, streamed in primary-key order."""
    key = connection.execute(
        text(
            "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY array_position(i.indkey::int2[], a.attnum))"
            " FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indrelid = CAST(:table AS regclass) AND i.indisprimary"
        ),
        {"table": f"{schema}.{table}"},
    ).scalar_one()
    rows = connection.execute(
        text(f"SELECT t::text FROM {schema}.{table} t ORDER BY {key}"), execution_options={"yield_per": 1000}
    )
    number, sha = 0, hashlib.sha256()
    for (row,) in rows:
        number += 1
        sha.update(f"{row}\n".encode())
    return _ReadModel(number, sha.digest())
