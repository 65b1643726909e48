"""Who looks at the log beside its store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine

from tests.conftest import Database
from tests.unit.eventlog.roles import TOLD


@pytest.fixture
def owner(database: Database) -> Iterator[Connection]:
    """A connection of the owner, who is a superuser here and may do anything."""
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def told(database: Database) -> Database:
    """A database with rows of ada and of bob in every read model."""
    database.store.append(TOLD)
    return database
