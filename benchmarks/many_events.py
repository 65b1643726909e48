"""Millions of events by SQL instead of by as many appends, folded into the read models as a replay does it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.server import Server

_BATCH = 10_000
_WRITERS = 2
_STATEMENT = Path(__file__).with_suffix(".sql").read_text()


def fill(postgres: Server, database: str, count: int) -> None:
    """Make `count` events, a multiple of 10, in an empty migrated database, as its owner; then vacuum and analyze."""
    half = count // _WRITERS
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(lambda start: _fill(postgres, database, start, start + half), range(1, count, half)))
    postgres.run(database, "VACUUM (ANALYZE)")


def _fill(postgres: Server, database: str, start: int, end: int) -> None:
    with postgres.connect(database) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(start, end, _BATCH):
            span = {"first": first, "last": min(first + _BATCH, end) - 1}
            connection.execute(_STATEMENT, span)
            connection.execute("SELECT fold(%(first)s, %(last)s)", span)
