"""Connections of the roles, and a log of two users for them to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.migrate import PROJECTIONS
from tests.conftest import Database
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life, spending_stopped

APP, API, RELAY, ERASER = ROLES = ("media_assets_app", "media_assets_api", "media_assets_relay", "media_assets_eraser")

LOG = {"events", "event_payloads", "told", *PROJECTIONS}
"""What every role may read, the API its user's part of it."""


cat, bird = Life("uploads/ada/cat.jpg"), Life("uploads/bob/bird.jpg")


def happenings(life: Life, user: str) -> list[NewEvent]:
    """Enough of a life for a row in every read model, of any user."""
    requests = [life.reprocess("thumbnail"), life.reprocess("embed")]
    film = Film(life.key.replace(".jpg", ".mp4"))
    video = [*film.done(), *Job(film).done()]
    events = [*life.done(), life.failed("probe"), *requests, spending_stopped(user=user), *video]
    return [event.model_copy(update={"user_id": user}) for event in events]


TOLD = [*happenings(cat, "ada"), *happenings(bird, "bob")]


@contextmanager
def connected(database: Database, role: str) -> Iterator[Connection]:
    engine = create_engine(database.owner_url.replace("//postgres@", f"//{role}@"))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def error_code(connection: Connection, statement: str, **parameters: object) -> str | None:
    """The SQLSTATE of a statement in a transaction of its own that is given up; None if it works."""
    connection.rollback()
    try:
        if parameters:
            connection.execute(text(statement), parameters)
        else:
            connection.exec_driver_sql(statement)
        return None
    except DBAPIError as error:
        return str(getattr(error.orig, "sqlstate", None))
    finally:
        connection.rollback()
