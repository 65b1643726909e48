"""The API's role sees the rows of one user and of nobody else, in every table there is and that there will be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.search import nearest
from tests.conftest import Database
from tests.unit.eventlog.lives import rows
from tests.unit.eventlog.roles import API, APP, ERASER, LOG, RELAY, bird, cat, connected, error_code


@contextmanager
def as_user(connection: Connection, user: str | None) -> Iterator[Connection]:
    """A transaction of the API for a user; None: it forgot to say for whom."""
    connection.rollback()
    with connection.begin():
        if user is not None:
            connection.execute(text("SELECT set_config('media.user_id', :user, true)"), {"user": user})
        yield connection


def counts(connection: Connection, user: str | None = None) -> dict[str, int]:
    """Rows of each relation that the API may read: all that are shown, or a user's of them."""
    of_user = {"event_payloads": "WHERE event_id IN (SELECT event_id FROM events WHERE user_id = :user)"}
    found = {}
    for table in sorted(LOG):
        condition = "" if user is None else of_user.get(table, "WHERE user_id = :user")
        found[table] = rows(connection, f"SELECT count(*) FROM {table} {condition}", user=user)[0]["count"]
    return found


def test_the_api_sees_the_rows_of_one_user_in_every_table(told: Database, owner: Connection) -> None:
    with connected(told, API) as connection:
        for user in ("ada", "bob"):
            own = counts(owner, user)
            assert min(own.values()) > 0
            with as_user(connection, user):
                assert counts(connection) == counts(connection, user) == own
        for nobody in ("eve", "", "ad", "ada ", "ADA", "%", "' OR true --"):
            with as_user(connection, nobody):
                assert set(counts(connection).values()) == {0}, nobody


def test_without_a_user_the_api_sees_nothing_before_and_after_a_transaction_that_had_one(told: Database) -> None:
    with connected(told, API) as connection:
        with as_user(connection, None):
            assert set(counts(connection).values()) == {0}
        with as_user(connection, "ada"):
            assert counts(connection)["items"] == 4
        with as_user(connection, None):
            assert rows(connection, "SELECT current_setting('media.user_id', true) AS user") == [{"user": ""}]
            assert set(counts(connection).values()) == {0}


def test_no_detour_leads_the_api_to_the_rows_of_others(told: Database) -> None:
    with connected(told, API) as connection:
        with as_user(connection, "ada"):
            theirs = {"event": bird.upload().event_id, "item": bird.item_id}
            assert rows(connection, "SELECT * FROM event_payloads WHERE event_id = :event", **theirs) == []
            assert rows(connection, "SELECT * FROM current_upload(:item)", **theirs) == []
            assert rows(connection, "TABLE told EXCEPT SELECT * FROM told WHERE user_id = 'ada'") == []
            assert [hit.item_id for hit in nearest(connection, (1.0, 0.0, 0.0), "meaning")] == [cat.item_id]
        with as_user(connection, "ada"):
            connection.execute(text("SET LOCAL row_security = off"))  # asks for an error instead of fewer rows
            with pytest.raises(DBAPIError, match="row-level security"):
                rows(connection, "SELECT * FROM items")


def test_others_than_the_api_see_all_users(told: Database) -> None:
    for role in (APP, RELAY, ERASER):
        with connected(told, role) as connection:
            users = rows(connection, "SELECT DISTINCT user_id FROM events")
            assert {row["user_id"] for row in users} == {"ada", "bob"}


def unprotected(connection: Connection) -> list[str]:
    """Tables of users' rows without row-level security, and whatever else the API could read past it."""
    found = rows(
        connection,
        f"""
        SELECT c.relname FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND (a.attname IS NOT NULL AND c.relkind <> 'v' OR has_any_column_privilege('{API}', c.oid, 'SELECT'))
          AND NOT CASE c.relkind
              WHEN 'r' THEN c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (
                  SELECT FROM pg_policy p
                  WHERE p.polrelid = c.oid AND '{API}'::regrole = ANY (p.polroles) AND p.polcmd = 'r')
              WHEN 'v' THEN coalesce('security_invoker=true' = ANY (c.reloptions), false)
              ELSE false END
        ORDER BY 1
        """,
    )
    return [row["relname"] for row in found]


def test_every_table_of_users_rows_is_protected(owner: Connection) -> None:
    assert unprotected(owner) == []


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE made (user_id text NOT NULL)",
        "CREATE TABLE made (user_id text NOT NULL); ALTER TABLE made ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE TABLE made (whose text); GRANT SELECT ON made TO media_assets_api",
        "CREATE TABLE made (user_id text, n integer) PARTITION BY RANGE (n)",
        "CREATE MATERIALIZED VIEW made AS SELECT user_id FROM events",
        "CREATE VIEW made AS SELECT summary FROM analyses; GRANT SELECT ON made TO media_assets_api",
        "CREATE VIEW made AS SELECT 1 AS n; GRANT SELECT (n) ON made TO media_assets_api",
    ],
)
def test_a_table_that_nobody_protected_is_found(owner: Connection, made: str) -> None:
    owner.exec_driver_sql(made)
    assert unprotected(owner) == ["made"]


def test_migrating_protects_whatever_has_a_user(told: Database, owner: Connection) -> None:
    owner.exec_driver_sql("CREATE TABLE made (user_id text NOT NULL); INSERT INTO made VALUES ('ada'), ('bob')")
    owner.commit()
    upgrade(told.owner_url)
    assert unprotected(owner) == []
    owner.exec_driver_sql("GRANT SELECT ON made TO media_assets_api")
    owner.commit()
    with connected(told, API) as connection, as_user(connection, "ada"):
        assert rows(connection, "SELECT * FROM made") == [{"user_id": "ada"}]


def test_an_empty_user_is_refused_wherever_there_is_one(owner: Connection) -> None:
    """It would be the user of an API that forgot to say whose rows it wants."""
    unchecked = rows(
        owner,
        """
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND NOT (a.attnotnull AND EXISTS (
              SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
                AND pg_get_constraintdef(k.oid) = 'CHECK ((user_id <> ''''::text))'))
        """,
    )
    assert unchecked == []
    assert error_code(owner, "INSERT INTO spending_stops VALUES ('', now(), 'analyze', 1, 1, now())") == "23514"
