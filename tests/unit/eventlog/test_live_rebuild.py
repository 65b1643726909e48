"""Guarantee 6: read models are made anew from the log while the system works, or not at all."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog import rebuild as module
from media_assets.eventlog.embedding_index import ensure_embedding_index
from media_assets.eventlog.events import item_erased
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.rebuild import RebuildError, rebuild
from media_assets.eventlog.replay import digest, verify_replay
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.eventlog.lives import NOON, Life, item, rows, spending_stopped


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a log of some hundred events takes many transactions, and a tail."""
    monkeypatch.setattr(module, "FOLD_BATCH", 40)
    monkeypatch.setattr(module, "_SHORT_TAIL", 10)


def tell(store: EventStore, lives: int, name: str = "cat") -> None:
    store.append([event for number in range(lives) for event in Life(f"uploads/ada/{name}-{number}.jpg").done()])


CORRUPTIONS = [
    "UPDATE items SET state = 'rejected', user_id = 'eve'",
    "UPDATE steps SET failures = failures + 1",
    "DELETE FROM uploads",
    "DELETE FROM thumbnails WHERE size = 800",
    "UPDATE detections SET width = width + 1",
    "UPDATE analyses SET summary = 'A dog.'",
    "UPDATE embeddings SET embedding = '[0,1,0]'",
    "UPDATE costs SET micro_dollars = micro_dollars + 1",
    "INSERT INTO requested_generations SELECT item_id, 'embed', 'ada', 1, item_id FROM items",
    "TRUNCATE step_results, step_failures, spending_stops",
]


def test_what_somebody_changed_by_hand_is_mended(database: Database, owner: Connection) -> None:
    tell(database.store, 3)
    database.store.append([Life("uploads/ada/cat-0.jpg").failed("probe"), spending_stopped()])
    before = digest(owner, "public")
    owner.commit()
    for corruption in CORRUPTIONS:
        owner.execute(text(corruption))
    owner.commit()
    assert not verify_replay(database.owner_url).identical
    assert rebuild(database.owner_url).events == 20
    assert verify_replay(database.owner_url).identical
    assert digest(owner, "public") == before


@pytest.mark.usefixtures("small_batches")
def test_progress_is_told_batch_by_batch(database: Database) -> None:
    tell(database.store, 21)
    told: list[tuple[int, int]] = []
    rebuilt = rebuild(database.owner_url, lambda done, total: told.append((done, total)))
    assert told == [(40, 126), (80, 126), (120, 126), (126, 126)]
    assert rebuilt.events == 126
    assert 0 < rebuilt.appends_waited_seconds < 5


def test_of_an_empty_log_too(database: Database) -> None:
    assert rebuild(database.owner_url).events == 0
    tell(database.store, 1)
    assert verify_replay(database.owner_url).identical


def test_the_tables_are_the_same_afterwards_in_everything_but_age(database: Database, owner: Connection) -> None:
    """Columns, indexes (one a model too), keys, rights, row-level security, functions: all that the catalogue knows."""
    tell(database.store, 2)
    ensure_embedding_index(owner, "meaning", 3)
    ensure_embedding_index(owner, 'it\'s 100% "on public.embeddings "', 384)
    owner.commit()
    before, tables = catalogue(owner), table_ids(owner)
    assert len(before["indexes"]) > len(PROJECTIONS) + 2
    assert {grantee for _, grants in before["rights"] for grantee in grants} >= {"media_assets_api=r/postgres"}
    rebuild(database.owner_url)
    assert catalogue(owner) == before
    assert not tables & table_ids(owner)
    assert rows(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'") == []


def test_rights_are_in_force_afterwards(database: Database) -> None:
    tell(database.store, 1)
    rebuild(database.owner_url)
    with database.store.engine.connect() as application, pytest.raises(DBAPIError, match="permission denied"):
        application.execute(text("UPDATE items SET state = 'done'"))
    api = create_engine(database.owner_url.replace("//postgres@", "//media_assets_api@"))
    with api.connect() as connection:
        assert rows(connection, "SELECT key FROM items") == []
        connection.execute(text("SET LOCAL media.user_id = 'eve'"))
        assert rows(connection, "SELECT key FROM items") == []
        connection.execute(text("SET LOCAL media.user_id = 'ada'"))
        assert len(rows(connection, "SELECT key FROM items")) == 1
    api.dispose()


def test_new_tables_have_statistics(database: Database, owner: Connection) -> None:
    """Without them the first queries would be planned for empty tables."""
    tell(database.store, 50)
    rebuild(database.owner_url)
    known = rows(owner, "SELECT relname, reltuples FROM pg_class WHERE oid IN ('items'::regclass, 'steps'::regclass)")
    assert {row["relname"]: row["reltuples"] for row in known} == {"items": 50, "steps": 250}


@pytest.mark.usefixtures("small_batches")
def test_people_append_erase_and_read_while_it_is_rebuilt_again_and_again(database: Database) -> None:
    """Every append is seen by the next query, no reader sees less than was there before, and in the end all is right."""
    store = database.store
    tell(store, 40)
    finished = Signal()

    def write(writer: int) -> int:
        written = 0
        while not finished.is_set():
            life = Life(f"uploads/ada/{writer}-{written}.jpg")
            store.append(life.done())
            assert item(store, life)["state"] == "done"
            written += 1
        return written

    def erase() -> int:
        eraser = EventStore.connect(database.owner_url.replace("//postgres@", "//media_assets_eraser@"))
        erased = 0
        while not finished.is_set() and erased < 40:
            life = Life(f"uploads/ada/cat-{erased}.jpg")
            eraser.erase([item_erased(life.item_id, reason="asked for", user_id="ada", occurred_at=NOON)])
            assert rows(store, "SELECT FROM items WHERE item_id = :id", id=life.item_id) == []
            erased += 1
            time.sleep(0.02)
        eraser.engine.dispose()
        return erased

    def read() -> int:
        uploads = looks = 0
        while not finished.is_set():
            [row] = rows(store, "SELECT (SELECT count(*) FROM items) AS items, max(position) AS newest FROM uploads")
            assert row["newest"] >= uploads
            uploads, looks = row["newest"], looks + 1
        return looks

    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(write, 1), pool.submit(write, 2), pool.submit(erase), pool.submit(read)]
        try:
            for _ in range(4):
                rebuild(database.owner_url)
        finally:
            finished.set()
        assert all(part.result() > 5 for part in parts)
    assert verify_replay(database.owner_url).identical


def test_a_reader_that_holds_on_delays_the_swap_and_appends_go_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The swap gives way, again and again, instead of making everybody wait behind the reader."""
    monkeypatch.setattr(module, "_LOCK_MILLISECONDS", 100)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.1)
    tell(database.store, 1)
    with ThreadPoolExecutor(1) as pool:
        with database.store.engine.connect() as reader:
            assert len(rows(reader, "SELECT * FROM items")) == 1
            rebuilding = pool.submit(rebuild, database.owner_url)
            waits = []
            for number in range(20):
                began = time.monotonic()
                database.store.append(Life(f"uploads/ada/{number}.jpg").done())
                waits.append(time.monotonic() - began)
                time.sleep(0.05)
            assert not rebuilding.done()
            assert len(rows(reader, "SELECT * FROM items")) == 21
        assert rebuilding.result().events == 126
    assert max(waits) < 1
    assert verify_replay(database.owner_url).identical


def test_a_transaction_that_reads_and_then_appends_is_not_the_victim_of_a_deadlock(
    database: Database, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the table that the swap wants, and waits for the lock that the swap has: the swap gives way before Postgres
    looks for somebody to end."""
    tell(database.store, 1)
    locks, first = module._lock_live_tables, iter([True])

    def once_the_append_waits(connection: Connection) -> bool:
        while next(first, False):
            while not rows(owner, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                time.sleep(0.01)
        return locks(connection)

    monkeypatch.setattr(module, "_lock_live_tables", once_the_append_waits)
    with ThreadPoolExecutor(1) as pool:
        with database.store.engine.begin() as connection:
            assert rows(connection, "SELECT count(*) AS items FROM items") == [{"items": 1}]
            rebuilding = pool.submit(rebuild, database.owner_url)
            while not rows(database.store, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7236454 AND granted"):
                time.sleep(0.01)
            database.store.append(Life("uploads/ada/dog.jpg").done(), connection)
        assert rebuilding.result().events == 12
    assert verify_replay(database.owner_url).identical


def test_a_reader_that_never_lets_go_ends_the_rebuild_and_nothing_has_changed(
    database: Database, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_MILLISECONDS", 50)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.05)
    tell(database.store, 1)
    tables = table_ids(owner)
    with database.store.engine.connect() as reader:
        rows(reader, "SELECT * FROM costs")
        with pytest.raises(RebuildError, match=r"in use without a pause for 0\.3 s"):
            rebuild(database.owner_url, patience_seconds=0.3)
    assert table_ids(owner) == tables
    assert rows(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'") == []


def test_what_depends_on_a_read_model_is_not_dropped_along_with_it(database: Database, owner: Connection) -> None:
    tell(database.store, 1)
    owner.execute(text("CREATE VIEW of_somebody AS SELECT key FROM items"))
    owner.commit()
    with pytest.raises(RebuildError, match=r"view of_somebody depends on table public\.items: drop it"):
        rebuild(database.owner_url)
    assert len(rows(owner, "SELECT * FROM of_somebody")) == 1
    assert verify_replay(database.owner_url).identical


def test_a_database_of_another_revision_is_left_alone(database: Database, owner: Connection) -> None:
    tell(database.store, 1)
    tables = table_ids(owner)
    owner.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    owner.commit()
    with pytest.raises(RebuildError, match="the database is at revision 0001 and this code at "):
        rebuild(database.owner_url)
    assert table_ids(owner) == tables


@pytest.mark.usefixtures("small_batches")
def test_an_error_in_a_fold_leaves_everything_as_it_was(database: Database, owner: Connection) -> None:
    tell(database.store, 20)
    before = digest(owner, "public"), table_ids(owner)
    owner.commit()

    def interrupt(done: int, total: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(database.owner_url, interrupt)
    assert (digest(owner, "public"), table_ids(owner)) == before
    assert rows(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'") == []


def test_sigkill_at_any_moment_leaves_the_live_read_models_and_the_next_rebuild_starts_over(
    database: Database, owner: Connection
) -> None:
    tell(database.store, 60)
    luck = random.Random(7)
    for batches in (1, 4, 7):
        before = digest(owner, "public")
        owner.commit()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.eventlog.rebuilder", database.owner_url], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(batches):
            assert process.stdout.readline()
        time.sleep(luck.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert digest(owner, "public") == before
        owner.commit()
        tell(database.store, 1, name=f"after-{batches}")
        assert item(database.store, Life(f"uploads/ada/after-{batches}-0.jpg"))["state"] == "done"
    assert rows(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'") != []
    owner.commit()
    assert rebuild(database.owner_url).events == 378
    assert verify_replay(database.owner_url).identical
    assert rows(owner, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'") == []


def test_a_replay_that_waited_for_a_rebuild_compares_what_is_there_afterwards(database: Database, owner: Connection) -> None:
    """A snapshot from before the wait would show it new tables without their last rows."""
    tell(database.store, 1)
    owner.execute(text("SELECT pg_advisory_lock(7236455)"))
    owner.commit()
    with ThreadPoolExecutor(1) as pool:
        replaying = pool.submit(verify_replay, database.owner_url)
        time.sleep(0.3)
        tell(database.store, 1, name="dog")
        owner.execute(text("SELECT pg_advisory_unlock(7236455)"))
        verification = replaying.result()
    assert (verification.identical, verification.events) == (True, 12)


def table_ids(connection: Connection) -> set[int]:
    found = rows(connection, "SELECT to_regclass('public.' || name)::oid AS oid FROM unnest(CAST(:t AS text[])) name",
                 t=list(PROJECTIONS))  # fmt: skip
    connection.rollback()
    return {row["oid"] for row in found}


def catalogue(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """What Postgres knows about the tables and functions of `public`, without identifiers and sizes."""
    questions = {
        "columns": """
            SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl::text,
                   pg_get_expr(d.adbin, d.adrelid)
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname = ANY (:tables)""",
        "indexes": """
            SELECT tablename, indexname, indexdef, x.indisvalid FROM pg_indexes
            JOIN pg_index x ON x.indexrelid = format('public.%I', indexname)::regclass
            WHERE schemaname = 'public' AND tablename = ANY (:tables)""",
        "constraints": """
            SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)""",
        "policies": "SELECT * FROM pg_policies WHERE schemaname = 'public' AND tablename = ANY (:tables)",
        "rights": """
            SELECT relname, relacl::text[] FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relname = ANY (:tables)""",
        "tables": """
            SELECT relname, relowner::regrole::text, relrowsecurity, relforcerowsecurity, reloptions, relhastriggers, relkind
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relname = ANY (:tables) OR relkind = 'r')""",
        "functions": """
            SELECT oid::regprocedure::text, pg_get_function_result(oid), proowner::regrole::text, proacl::text, prosrc,
                   proconfig
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'""",
    }
    facts = {
        name: sorted((tuple(row) for row in connection.execute(text(query), {"tables": list(PROJECTIONS)})), key=repr)
        for name, query in questions.items()
    }
    connection.rollback()
    return facts
