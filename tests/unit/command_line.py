"""The command line in this process, on a database of one test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.settings import get_settings
from tests.conftest import Database

_CONNECTIONS = (connection.settings, connection.store, connection.s3, connection.sqs)


@contextmanager
def talking_to(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands talk to this database, and to no Dagster."""
    monkeypatch.setenv("DATABASE_URL", database.application_url)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    _forget_connections()
    get_settings.cache_clear()
    yield
    connection.store().engine.dispose()
    _forget_connections()


def said(*arguments: str) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def told(*arguments: str) -> Any:
    """The document of a command with --json."""
    return json.loads(said(*arguments, "--json"))


def _forget_connections() -> None:
    for each in _CONNECTIONS:
        each.cache_clear()
