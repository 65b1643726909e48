"""Statements that only the database's owner may execute: what an accident or an attacker could leave behind."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, text

from tests.conftest import Database


def as_owner(database: Database, statement: str, **parameters: Any) -> int:
    """Execute and commit a statement; the number of rows it touched."""
    engine = create_engine(database.owner_url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(statement), parameters).rowcount
    finally:
        engine.dispose()
