"""Folds the whole log into new read models beside the live ones, which go on being used, and puts them in their place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg.errors
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import InternalError, OperationalError

from media_assets.eventlog.migrate import FOLD_BATCH, PROJECTIONS, create_read_models

_SHADOW = "rebuild_shadow"
_SHORT_TAIL = 200
"""Events that may be left for the transaction in which appends wait: some ten milliseconds of folding."""
_LOCK_MILLISECONDS = 500
"""How long the swap waits for readers, while whoever comes after them waits too. Below Postgres' deadlock_timeout, 1 s: a
reader that wants to append holds its table and waits for us, and it is we who have to give way."""
_PAUSE_SECONDS = 0.5

Progress = Callable[[int, int], None]


class RebuildError(Exception):
    """Why the live read models are still the ones that they were."""


@dataclass(frozen=True)
class Rebuilt:
    """`events` is how many were folded, `appends_waited_seconds` how long the last transaction kept appends waiting."""

    events: int
    appends_waited_seconds: float


def rebuild(owner_url: str, on_progress: Progress = lambda done, total: None, *, patience_seconds: float = 120) -> Rebuilt:
    """Replace every read model by what the log says, from position 0 on. `owner_url` is a SQLAlchemy URL of the owner.

    Folds into a schema of its own, a committed batch at a time, while events are appended and read models are read. Then one
    transaction holds appends up, folds what came meanwhile and swaps the tables. Until it commits the live read models are
    what they were; what a killed rebuild leaves behind the next one clears away and starts over.

    Waits for a migration, a replay or another rebuild. Raises RebuildError if the database isn't of this code's revision, if
    something that no migration made depends on a read model, or if readers leave no moment for the swap in
    `patience_seconds`.
    """
    engine = create_engine(owner_url, isolation_level="READ COMMITTED")
    try:
        with engine.connect() as connection:
            # Of the session, which ends with the process: no migration, replay or other rebuild beside this one.
            _run(connection, "SELECT pg_advisory_lock(7236455)")
            try:
                return _rebuild(connection, on_progress, patience_seconds)
            except BaseException:
                connection.rollback()
                _run(connection, f"DROP SCHEMA IF EXISTS {_SHADOW} CASCADE")
                raise
    finally:
        engine.dispose()


def _rebuild(connection: Connection, on_progress: Progress, patience_seconds: float) -> Rebuilt:
    connection.execute(text(f"DROP SCHEMA IF EXISTS {_SHADOW} CASCADE"))
    connection.execute(text(f"CREATE SCHEMA {_SHADOW}"))
    create_read_models(connection, _SHADOW)
    _require_same_revision(connection)
    connection.commit()
    _run(connection, f"SET search_path = {_SHADOW}, public")

    done = _catch_up(connection, 0, on_progress)
    _copy_indexes(connection)
    _run(connection, f"ANALYZE {_tables(_SHADOW)}")
    gives_up_at = time.monotonic() + patience_seconds
    while True:
        done = _catch_up(connection, done, on_progress)
        _copy_indexes(connection)
        swapped = _swap(connection, done)
        if swapped is not None:
            on_progress(swapped.events, swapped.events)
            return swapped
        if time.monotonic() > gives_up_at:
            raise RebuildError(
                f"read models were in use without a pause for {patience_seconds:g} s, so the new ones couldn't take their"
                " place; pg_stat_activity shows which transactions are open for long"
            )
        time.sleep(_PAUSE_SECONDS)


def _catch_up(connection: Connection, done: int, on_progress: Progress) -> int:
    """Fold until no more than a short tail is left. Returns the position it came to."""
    while (head := _head(connection)) - done > _SHORT_TAIL:
        last = min(done + FOLD_BATCH, head)
        _fold(connection, done + 1, last)
        connection.commit()
        done = last
        on_progress(done, head)
    connection.commit()
    return done


def _swap(connection: Connection, done: int) -> Rebuilt | None:
    """In one transaction: hold appends up, fold the tail, replace the tables. None if readers were in the way."""
    connection.execute(text("SELECT pg_advisory_xact_lock(7236454)"))  # the lock of append_batch
    began = time.monotonic()
    head = _head(connection)
    _fold(connection, done + 1, head)
    if not _lock_live_tables(connection) or _missing_indexes(connection):
        connection.rollback()
        return None
    _replace_live_tables(connection)
    connection.commit()
    return Rebuilt(head, time.monotonic() - began)


def _lock_live_tables(connection: Connection) -> bool:
    try:
        connection.execute(text(f"SET LOCAL statement_timeout = {_LOCK_MILLISECONDS}"))
        connection.execute(text(f"LOCK TABLE {_tables('public')} IN ACCESS EXCLUSIVE MODE"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled | psycopg.errors.DeadlockDetected):
            raise
        return False
    return True


def _replace_live_tables(connection: Connection) -> None:
    functions = _functions_of_live_tables(connection)
    for function in functions:
        connection.exec_driver_sql(f"DROP FUNCTION public.{function}")
    try:
        connection.execute(text(f"DROP TABLE {_tables('public')} RESTRICT"))
    except InternalError as error:
        if not isinstance(error.orig, psycopg.errors.DependentObjectsStillExist):
            raise
        found = (error.orig.diag.message_detail or "").replace("\n", "; ")
        raise RebuildError(f"{found}: drop it, rebuild, and make it anew") from error
    for table in PROJECTIONS:
        connection.execute(text(f"ALTER TABLE {_SHADOW}.{table} SET SCHEMA public"))
    for function in functions:
        connection.exec_driver_sql(f"ALTER FUNCTION {_SHADOW}.{function} SET SCHEMA public")
    connection.execute(text(f"DROP SCHEMA {_SHADOW} CASCADE"))


def _copy_indexes(connection: Connection) -> None:
    """Those that no migration makes: one a model of embeddings (embedding_index.py)."""
    for definition in _missing_indexes(connection):
        connection.exec_driver_sql(definition)
    connection.commit()


def _missing_indexes(connection: Connection) -> list[str]:
    """Statements that create what the live tables have and the new ones don't."""
    rows = connection.execute(
        text("""
            SELECT l.tablename, l.indexdef FROM pg_indexes l
            LEFT JOIN pg_indexes s ON s.schemaname = :shadow AND s.tablename = l.tablename AND s.indexname = l.indexname
            WHERE l.schemaname = 'public' AND l.tablename = ANY (:tables) AND s.indexname IS NULL
        """),
        {"shadow": _SHADOW, "tables": list(PROJECTIONS)},
    )
    return [
        definition.replace(f" ON public.{table} ", f" ON {_SHADOW}.{table} ", 1).replace("%", "%%")
        for table, definition in rows
    ]


def _functions_of_live_tables(connection: Connection) -> list[str]:
    """Functions that return a live table's rows and so can't outlive it; the folds made them for the new tables too."""
    rows = connection.execute(
        text("""
            SELECT DISTINCT format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
            FROM pg_depend d
            JOIN pg_class c ON c.reltype = d.refobjid AND d.refclassid = 'pg_type'::regclass
            JOIN pg_proc p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
            WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)
        """),
        {"tables": list(PROJECTIONS)},
    )
    return list(rows.scalars())


def _require_same_revision(connection: Connection) -> None:
    live, ours = (
        connection.execute(text(f"SELECT version_num FROM {schema}.alembic_version")).scalar_one()
        for schema in ("public", _SHADOW)
    )
    if live != ours:
        raise RebuildError(f"the database is at revision {live} and this code at {ours}: migrate it first")


def _fold(connection: Connection, first: int, last: int) -> None:
    connection.execute(text(f"SELECT {_SHADOW}.fold(:first, :last)"), {"first": first, "last": last})


def _head(connection: Connection) -> int:
    return int(connection.execute(text("SELECT coalesce(max(position), 0) FROM public.events")).scalar_one())


def _tables(schema: str) -> str:
    return ", ".join(f"{schema}.{table}" for table in PROJECTIONS)


def _run(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))
    connection.commit()
