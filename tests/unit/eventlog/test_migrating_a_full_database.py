"""A database that was used before there was a hash chain comes through the migrations with its history in the chain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.catalogue import StepFailed
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.verify import Verified, verify_chain
from media_assets.local.postgres import EmbeddedPostgres
from tests.conftest import Database
from tests.unit.eventlog.dumps import restored
from tests.unit.eventlog.lives import Life, item, rows, step, steps

CAT, DOG, OWL, FLY = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "owl", "fly"))
EVENTS = 21
HEAD_HASH = "ef644a21fcd1cd8f45c77c803bb8f3c84e8fedda91b190459782054702c80ef3"


@pytest.fixture(scope="module")
def migrated(postgres: EmbeddedPostgres) -> Iterator[Database]:
    with restored(postgres, "revision_0001.sql") as database:
        upgrade(database.owner_url)
        yield database


def test_its_history_is_in_the_chain(migrated: Database) -> None:
    """Always the same one: whoever computes it from the dump by the documented bytes comes to this hash."""
    with migrated.store.engine.connect() as connection:
        verified = verify_chain(connection)
    assert isinstance(verified, Verified)
    assert (verified.events, verified.hash.hex()) == (EVENTS, HEAD_HASH)


def test_its_read_models_are_what_a_replay_gives(migrated: Database) -> None:
    verification = verify_replay(migrated.owner_url)
    assert (verification.identical, verification.events) == (True, EVENTS)
    states = {
        life: (item(migrated.store, life)["state"], item(migrated.store, life)["version_id"]) for life in (CAT, DOG, OWL, FLY)
    }
    assert states == {CAT: ("processing", "v2"), DOG: ("rejected", "v1"), OWL: ("failed", "v1"), FLY: ("received", "v1")}
    assert steps(migrated.store, CAT) == {"probe": "done", "thumbnail": "pending"}
    assert step(migrated.store, OWL, "analyze")["failures"] == 2


def test_what_was_said_then_is_read_as_it_would_be_said_now(migrated: Database) -> None:
    failures = [event for event in migrated.store.stream(OWL.stream_id) if event.type == "StepFailed"]
    assert [(event.schema_version, event.attempt_id) for event in failures] == [(1, "a1"), (1, "a2")]
    assert failures[0].payload == StepFailed(version_id="v1", code="timeout", message="timeout in a1", retry_at=None)
    correlations = {
        event.correlation_id for event in migrated.store.stream(CAT.stream_id) if event.type != "ReprocessRequested"
    }
    assert correlations == {CAT.upload("v1").event_id, CAT.upload("v2").event_id}


def test_the_log_is_append_only_again(migrated: Database) -> None:
    """The migration had to write to it."""
    engine = create_engine(migrated.owner_url)
    for change in ("UPDATE events SET user_id = 'eve'", "DELETE FROM events", "UPDATE event_payloads SET body = '{}'"):
        with engine.connect() as connection:
            connection.execute(text("SET session_replication_role = replica"))
            with pytest.raises(DBAPIError, match="is append only"):
                connection.execute(text(change))
    engine.dispose()


def test_operational_tables_keep_their_rows(migrated: Database) -> None:
    [claim] = rows(migrated.store, "SELECT item_id, step, run_id, reserved_micro_dollars FROM claims")
    assert claim == {"item_id": FLY.item_id, "step": "probe", "run_id": "run-2", "reserved_micro_dollars": 0}
    assert [row["target"] for row in rows(migrated.store, "SELECT target FROM breakers")] == ["analyze"]
    assert len(rows(migrated.store, "SELECT * FROM requested_runs")) == 1
    assert len(rows(migrated.store, "SELECT * FROM contact_sheets")) == 1


def test_its_indexes_of_single_models_are_there(migrated: Database) -> None:
    found = rows(migrated.store, "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'embeddings_hnsw_meaning_%'")
    assert len(found) == 1


def test_life_goes_on_and_a_repeat_is_a_repeat(migrated: Database) -> None:
    assert migrated.store.append([CAT.upload("v2")])[0].inserted is False
    assert migrated.store.append(CAT.processed("v2"))[1:] == [(EVENTS + number, True) for number in (1, 2, 3, 4)]
    with migrated.store.engine.connect() as connection:
        verified = verify_chain(connection)
    assert isinstance(verified, Verified)
    assert verified.events == EVENTS + 4
    upgrade(migrated.owner_url)
    assert verify_replay(migrated.owner_url).identical
