"""Who may do what: every component connects with a role of its own, and each role is refused whatever isn't its business.

Tried, and not read from the catalogue: each role does each thing to each table. What isn't granted here is expected to be
refused, so a table that is new is nobody's until this file says whose it is.
"""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.errors import MixedErasureError
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.stored import new_row
from tests.conftest import Database
from tests.unit.eventlog.lives import rows
from tests.unit.eventlog.roles import API, APP, ERASER, LOG, RELAY, ROLES, TOLD, cat, connected, error_code

WORK = {"claims", "breakers", "requested_runs", "contact_sheets"}
OUTBOX = {"subscribers", "outbox_held"}
MAY = {
    APP: {
        "SELECT": LOG | WORK | OUTBOX | {"erasures", "event_types", "alembic_version"},
        "INSERT": WORK,
        "UPDATE": WORK,
        "DELETE": WORK,
    },
    API: {"SELECT": LOG},
    RELAY: {
        "SELECT": {"events", "event_payloads", "told", "uploads", "thumbnails", "jobs"} | OUTBOX,
        "INSERT": OUTBOX,
        "UPDATE": OUTBOX,
        "DELETE": OUTBOX,
    },
    ERASER: {
        "SELECT": {"events", "uploads", "items", "jobs", "erasures", "contact_sheets"},
        "INSERT": {"erasures"},
        "UPDATE": {"erasures"},
        "DELETE": {"contact_sheets"},
    },
}
ATTEMPTS = {
    "SELECT": "SELECT * FROM {table} LIMIT 1",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = {column}",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table} CASCADE",
    "ALTER": "ALTER TABLE {table} ADD COLUMN more integer",
    "DROP": "DROP TABLE {table} CASCADE",
    "TRIGGER": "CREATE TRIGGER mine BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_change()",
    "POLICY": "CREATE POLICY mine ON {table} USING (true)",
    "NO ROW LEVEL SECURITY": "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "NO TRIGGERS": "ALTER TABLE {table} DISABLE TRIGGER ALL",
}
REFUSED = {"42501", "42809", "55000"}  # no privilege; and for the view, nothing that can be done to one

APPENDS = {"append_events": APP, "erase_items": ERASER, "append_batch": None}

FORBIDDEN_TO_ALL = [
    "CREATE TABLE public.mine (n integer)",
    "CREATE VIEW public.mine AS SELECT 1",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE OR REPLACE FUNCTION upcast(type text, schema_version integer, body jsonb) RETURNS jsonb"
    " LANGUAGE sql IMMUTABLE AS $$ SELECT '{}'::jsonb $$",
    "ALTER FUNCTION append_events(jsonb) SECURITY INVOKER",
    "DROP FUNCTION erase_items(jsonb)",
    "DROP POLICY own_rows ON items",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "LOCK TABLE events IN SHARE MODE",
    "COPY events TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/hostname')",
]


def relations(connection: Connection) -> dict[str, str]:
    """A column of each table and view."""
    found = rows(
        connection,
        "SELECT c.relname, min(a.attname) AS column FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1",
    )
    return {row["relname"]: row["column"] for row in found}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_to_each_table_what_is_granted_and_nothing_else(told: Database, owner: Connection, role: str) -> None:
    tables = relations(owner)
    assert set().union(*(granted for roles in MAY.values() for granted in roles.values())) <= tables.keys()
    wrong = []
    with connected(told, role) as connection:
        for table, column in tables.items():
            for action, statement in ATTEMPTS.items():
                code = error_code(connection, statement.format(table=table, column=column))
                if (code not in REFUSED) != (table in MAY[role].get(action, ())):
                    wrong.append((action, table, code))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_no_role_gets_beyond_its_rights_in_another_way(told: Database, role: str) -> None:
    others = [f"SET ROLE {other}" for other in ROLES if other != role]
    grants = [f"GRANT {other} TO {role}" for other in ("postgres", *ROLES) if other != role]
    with connected(told, role) as connection:
        worked = {
            statement: code
            for statement in [*FORBIDDEN_TO_ALL, *others, *grants]
            if (code := error_code(connection, statement)) != "42501"
        }
    assert worked == {}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_fold(told: Database, owner: Connection, role: str) -> None:
    """The folds are nobody's but whose the read models are."""
    folds = rows(
        owner,
        "SELECT proname, pronargs FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ '^fold'",
    )
    assert len(folds) > 10
    with connected(told, role) as connection:
        for fold in folds:
            arguments = "1, 20" if fold["pronargs"] == 2 else f"ARRAY['{cat.item_id}']::uuid[]"
            code = error_code(
                connection, f"SELECT set_config('media.user_id', 'ada', true); SELECT {fold['proname']}({arguments})"
            )
            erases_nothing = fold["proname"] == "fold_erased_items"  # there is no ItemErased
            assert code == "42501" or (erases_nothing and code is None), fold


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_write_the_log_through_its_own_door_alone(told: Database, role: str) -> None:
    batches = {
        "append_events": [new_row(cat.removed())],
        "append_batch": [new_row(cat.removed())],
        "erase_items": [new_row(cat.erased())],
    }
    with connected(told, role) as connection:
        for function, whose in APPENDS.items():
            code = error_code(connection, f"SELECT {function}(CAST(:batch AS jsonb))", batch=json.dumps(batches[function]))
            assert code == (None if role == whose else "42501"), function


def test_only_the_two_doors_act_with_the_rights_of_the_owner(owner: Connection) -> None:
    """Each with a search path that nobody else chooses."""
    assert rows(
        owner,
        "SELECT proname AS name, array_to_string(proconfig, ';') AS settings FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1",
    ) == [
        {"name": "append_events", "settings": "search_path=public, pg_temp"},
        {"name": "erase_items", "settings": "search_path=public, pg_temp"},
    ]


def test_the_application_does_not_erase_and_the_eraser_does_not_append(told: Database) -> None:
    eraser = EventStore.connect(told.owner_url.replace("//postgres@", f"//{ERASER}@"))
    with pytest.raises(MixedErasureError):
        told.store.append([cat.erased()])
    with pytest.raises(DBAPIError, match="permission denied for function erase_items"):
        told.store.erase([cat.erased()])
    with pytest.raises(DBAPIError, match="permission denied for function append_events"):
        eraser.append([cat.removed()])
    with pytest.raises(MixedErasureError):
        eraser.erase([cat.removed()])
    assert told.store.head() == len(TOLD)
    eraser.engine.dispose()


def test_tables_of_ones_own_with_the_names_of_the_log_fool_nobody(told: Database) -> None:
    """A temporary table hides the real one from whoever made it, and from no function that acts for the owner."""
    head = told.store.head()
    with connected(told, APP) as connection:
        for table in ("events", "event_payloads", "event_types", *PROJECTIONS):
            connection.execute(text(f"CREATE TEMP TABLE {table} (LIKE public.{table})"))
        connection.execute(text("SET search_path = pg_temp, public"))
        assert told.store.append([cat.removed()], connection)[0].position == head + 1
        assert rows(connection, "SELECT * FROM pg_temp.events") == []
        connection.commit()
    assert told.store.head() == head + 1
