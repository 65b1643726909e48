"""An owner who is no superuser, as a managed Postgres gives it: row-level security is forced, so it holds for the owner too.

On a server of its own, since roles belong to the whole server: here nobody has made them before.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.embedding_index import ensure_embedding_index
from media_assets.eventlog.migrate import PROJECTIONS, upgrade
from media_assets.eventlog.rebuild import rebuild
from media_assets.eventlog.replay import digest, verify_replay
from media_assets.eventlog.store import EventStore
from media_assets.local.postgres import EmbeddedPostgres
from tests.contract.eventlog.chained import assert_chained
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life, rows, spending_stopped

APP, API, ERASER = "media_assets_app", "media_assets_api", "media_assets_eraser"

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")
film = Film()
job = Job(film)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """With a role `keeper`, who may make roles, and its empty database `kept`."""
    folder = Path(tempfile.mkdtemp(prefix="media-assets-owner-"))
    server = EmbeddedPostgres(folder, folder / "postgres.log")
    server.start()
    try:
        engine = create_engine(server.url("postgres", "psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE ROLE keeper LOGIN CREATEROLE"))
            connection.execute(text("CREATE DATABASE kept OWNER keeper"))
        engine.dispose()
        engine = create_engine(server.url("kept", "psycopg"))
        with engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION vector"))
        engine.dispose()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def keeper_url(server: EmbeddedPostgres) -> str:
    """The database, migrated from nothing by its owner."""
    url = server.url("kept", "psycopg", role="keeper")
    upgrade(url)
    return url


@pytest.fixture(scope="module")
def keeper(keeper_url: str) -> Iterator[Connection]:
    engine = create_engine(keeper_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def append_a_cow(server: EmbeddedPostgres) -> None:
    """It may be there already."""
    application = EventStore.connect(server.url("kept", "psycopg", APP))
    application.append([Life("uploads/ada/cow.jpg").upload()])
    application.engine.dispose()


def test_an_owner_without_privileges_of_a_superuser_keeps_the_log(server: EmbeddedPostgres, keeper: Connection) -> None:
    """Migrates, again too; folds, when others append and erase; replays, and sees every row while it does."""
    keeper_url = server.url("kept", "psycopg", role="keeper")
    assert rows(keeper, "SELECT rolsuper OR rolbypassrls AS may_all FROM pg_roles WHERE rolname = current_user") == [
        {"may_all": False}
    ]
    application, eraser = (EventStore.connect(server.url("kept", "psycopg", role)) for role in (APP, ERASER))
    photos = [*cat.done(), cat.failed("probe"), cat.reprocess("embed"), spending_stopped(), *dog.done()]
    events = [*photos, *film.done(), *job.done()]
    number = len(application.append(events))
    for table in PROJECTIONS:
        assert rows(keeper, f"SELECT * FROM {table}") != [], table
    keeper.rollback()

    before = digest(keeper, "public")
    keeper.rollback()
    upgrade(keeper_url)
    assert digest(keeper, "public") == before
    keeper.rollback()

    erased = eraser.erase([dog.erased()])
    assert erased.payloads == 6
    assert erased.rows["items"] == erased.rows["detections"] == erased.rows["embeddings"] == 1
    assert rows(keeper, "SELECT item_id FROM items WHERE kind = 'image'") == [{"item_id": cat.item_id}]
    keeper.rollback()

    verification = verify_replay(keeper_url)
    assert (verification.identical, verification.events) == (True, number + 1)
    assert_chained(application.all())

    live = digest(keeper, "public")
    keeper.rollback()
    assert rebuild(keeper_url).events == number + 1
    assert digest(keeper, "public") == live
    assert application.append([cat.removed()])[0].position == number + 2
    ensure_embedding_index(keeper, "meaning", 3)
    keeper.commit()
    application.engine.dispose()
    eraser.engine.dispose()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET user_id = 'eve'",
        "DELETE FROM events",
        "TRUNCATE events CASCADE",
        "DELETE FROM event_payloads",
        "UPDATE event_payloads SET body = '{}'",
    ],
)
def test_the_owner_is_refused_to_change_the_log(server: EmbeddedPostgres, keeper: Connection, change: str) -> None:
    append_a_cow(server)
    with pytest.raises(DBAPIError, match="is append only"):
        keeper.execute(text(change))
    keeper.rollback()


def test_the_api_sees_one_user_there_too(server: EmbeddedPostgres, keeper_url: str) -> None:
    append_a_cow(server)
    engine = create_engine(server.url("kept", "psycopg", API))
    with engine.connect() as connection:
        assert rows(connection, "SELECT * FROM items") == []
        connection.execute(text("SELECT set_config('media.user_id', 'bob', true)"))
        assert rows(connection, "SELECT * FROM items") == []
        connection.execute(text("SELECT set_config('media.user_id', 'ada', true)"))
        assert "uploads/ada/cow.jpg" in {row["key"] for row in rows(connection, "SELECT key FROM items")}
    engine.dispose()
