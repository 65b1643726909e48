"""A database from before detections comes through the migration: its chain is the one it had, its pictures have a step due."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from media_assets.eventlog.events import Execution
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.verify import Verified, verify_chain
from media_assets.local.postgres import EmbeddedPostgres
from tests.conftest import Database
from tests.unit.eventlog.dumps import restored
from tests.unit.eventlog.lives import Life, item, rows, step, steps

CAT, DOG, OWL, FLY = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "owl", "fly"))
EVENTS = 23
HEAD_HASH = "e4eca9a50dc6960813b3738be1b7efd7f81760bf1bc1a451327bedb0e306217b"
"""What the code of that revision came to."""


@pytest.fixture(scope="module")
def old(postgres: EmbeddedPostgres) -> Iterator[Database]:
    with restored(postgres, "revision_0002.sql") as database:
        yield database


@pytest.fixture(scope="module")
def migrated(old: Database) -> Database:
    """Brought to the current revision."""
    assert {row["state"] for row in rows(old.store, "SELECT state FROM items WHERE key LIKE '%cat%'")} == {"done"}
    upgrade(old.owner_url)
    return old


def test_its_chain_is_the_one_it_had(migrated: Database) -> None:
    with migrated.store.engine.connect() as connection:
        verified = verify_chain(connection, anchors={EVENTS: bytes.fromhex(HEAD_HASH)})
    assert isinstance(verified, Verified)
    assert (verified.events, verified.hash.hex()) == (EVENTS, HEAD_HASH)
    assert {event.target_reason for event in migrated.store.all()} == {None}
    engine = create_engine(migrated.owner_url)
    with engine.connect() as connection:
        differing = "SELECT FROM events e JOIN events b ON b.position = e.position - 1"
        assert rows(connection, f"{differing} WHERE e.hash <> sha256(b.hash || event_bytes(e))") == []
    engine.dispose()


def test_its_read_models_are_what_a_replay_gives(migrated: Database) -> None:
    verification = verify_replay(migrated.owner_url)
    assert (verification.identical, verification.events) == (True, EVENTS)


def test_its_pictures_have_detections_due_as_new_work(migrated: Database) -> None:
    for life in (CAT, OWL, FLY):
        due = step(migrated.store, life, "detect")
        assert (due["state"], due["generation"], due["recomputation"]) == ("pending", 0, False)
        assert item(migrated.store, life)["state"] == "processing"
    assert steps(migrated.store, CAT) == {
        "probe": "done",
        "thumbnail": "done",
        "detect": "pending",
        "analyze": "done",
        "embed": "done",
    }
    assert step(migrated.store, FLY, "embed")["recomputation"]


def test_what_was_erased_stays_erased_and_other_tables_keep_their_rows(migrated: Database) -> None:
    assert rows(migrated.store, "SELECT FROM items WHERE item_id = :id", id=DOG.item_id) == []
    assert steps(migrated.store, DOG) == {}
    assert [row["step"] for row in rows(migrated.store, "SELECT step FROM claims")] == ["embed"]
    assert rows(migrated.store, "SELECT name, position FROM subscribers") == [{"name": "eventbridge", "position": 11}]
    assert len(rows(migrated.store, "SELECT FROM pg_indexes WHERE indexname LIKE 'embeddings_hnsw_meaning_%'")) == 1


def test_life_goes_on_with_reasons_in_the_same_chain(migrated: Database) -> None:
    chosen = Execution(target="ecs", target_reason="many_items", attempt_id="a9").model_dump()
    store = migrated.store
    assert store.append([CAT.detections().model_copy(update=chosen)])[0].position == EVENTS + 1
    assert item(store, CAT)["state"] == "done"
    assert store.since(EVENTS)[0].target_reason == "many_items"
    with store.engine.connect() as connection:
        assert isinstance(verify_chain(connection), Verified)
    upgrade(migrated.owner_url)
    assert verify_replay(migrated.owner_url).identical
