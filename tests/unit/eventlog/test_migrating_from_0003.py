"""A database from before videos comes through the migration: its chain is the one it had, its pictures are what they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from media_assets.eventlog.erasure import due_sweeps, find_erasure
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.verify import Verified, verify_chain
from media_assets.local.postgres import EmbeddedPostgres
from tests.conftest import Database
from tests.unit.eventlog.dumps import restored
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life, item, rows, step, steps

CAT, DOG, FLY = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "fly"))
EVENTS = 18
HEAD_HASH = "501512d3219817dc851a87238fefe1532519cbc26d859b2eed8fc3273a78ec6f"
"""What the code of that revision came to."""


@pytest.fixture(scope="module")
def migrated(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """Brought to the current revision."""
    with restored(postgres, "revision_0003.sql") as database:
        assert rows(database.store, "SELECT column_name FROM information_schema.columns WHERE column_name = 'job_id'") == []
        upgrade(database.owner_url)
        yield database


def test_its_chain_is_the_one_it_had(migrated: Database) -> None:
    with migrated.store.engine.connect() as connection:
        verified = verify_chain(connection, anchors={EVENTS: bytes.fromhex(HEAD_HASH)})
    assert isinstance(verified, Verified)
    assert (verified.events, verified.hash.hex()) == (EVENTS, HEAD_HASH)
    assert {event.job_id for event in migrated.store.all()} == {None}


def test_its_read_models_are_what_a_replay_gives(migrated: Database) -> None:
    verification = verify_replay(migrated.owner_url)
    assert (verification.identical, verification.events) == (True, EVENTS)


def test_its_pictures_are_what_they_were(migrated: Database) -> None:
    """What was told of them in the first version of MediaProbed says nothing of videos."""
    assert steps(migrated.store, CAT) == {
        **dict.fromkeys(("probe", "thumbnail", "detect", "analyze"), "done"),
        "embed": "pending",
    }
    assert step(migrated.store, CAT, "embed")["generation"] == 1
    assert steps(migrated.store, FLY) == {"probe": "done", "thumbnail": "pending"}
    assert step(migrated.store, FLY, "thumbnail")["failures"] == 1
    for life in (CAT, FLY):
        row = item(migrated.store, life)
        assert (row["kind"], row["width"], row["video"], row["duration_ms"], row["parent_item_id"]) == (
            "image",
            40,
            None,
            None,
            None,
        )


def test_what_was_erased_stays_erased_and_its_sweep_is_still_due(migrated: Database) -> None:
    assert rows(migrated.store, "SELECT FROM items WHERE item_id = :id", id=DOG.item_id) == []
    with migrated.store.engine.connect() as connection:
        erasure = find_erasure(connection, DOG.item_id)
        assert (erasure.frame_ids, erasure.job_ids, erasure.key) == ((), (), DOG.key)
        assert due_sweeps(connection, erasure.final_at, 1) == [DOG.item_id]
    assert [row["step"] for row in rows(migrated.store, "SELECT step FROM claims")] == ["embed"]
    assert rows(migrated.store, "SELECT name, position FROM subscribers") == [{"name": "eventbridge", "position": 9}]
    assert len(rows(migrated.store, "SELECT FROM pg_indexes WHERE indexname LIKE 'embeddings_hnsw_meaning_%'")) == 1


def test_life_goes_on_with_videos_and_jobs_in_the_same_chain(migrated: Database) -> None:
    store, film = migrated.store, Film()
    assert store.append([*film.done(), *Job(film).done()])[0].position == EVENTS + 1
    assert item(store, film)["state"] == "done"
    with store.engine.connect() as connection:
        assert isinstance(verify_chain(connection), Verified)
    upgrade(migrated.owner_url)
    assert verify_replay(migrated.owner_url).identical
