"""Statements that only the database's owner may execute: what an accident or an attacker could leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, text

from tests.conftest import Database


def as_owner(database: Database, statement: str, **parameters: Any) -> int:
    """Execute and commit a statement; the number of rows it touched."""
    engine = create_engine(database.owner_url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(statement), parameters).rowcount
    finally:
        engine.dispose()


@contextmanager
def damaged(database: Database, statement: str) -> Iterator[Connection]:
    """A connection that sees the read models as if somebody had executed `statement`; afterwards nobody has."""
    engine = create_engine(database.owner_url)
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            assert connection.execute(text(statement)).rowcount > 0, f"nothing was damaged by: {statement}"
            yield connection
            transaction.rollback()
    finally:
        engine.dispose()
