"""Search by meaning: the nearest current vectors of one model, through that model's index."""

from __future__ import annotations

import math
import random

import pytest
from sqlalchemy import Connection, text

from media_assets.eventlog.embedding_index import ensure_embedding_index
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.search import nearest
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, rows

MANY = 3000


def towards(degrees: float) -> tuple[float, float, float]:
    """A unit vector at this angle from the query, which is `towards(0)`."""
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0


def searchable(name: str, degrees: float, model: str = "meaning") -> list[NewEvent]:
    life = Life(f"uploads/ada/{name}.jpg")
    return [
        life.upload(),
        life.probed(),
        life.thumbnails(),
        life.analysis(summary=f"A {name}."),
        life.embedding(vector=towards(degrees), model=model),
    ]


def found(store: EventStore, limit: int = 10) -> list[str]:
    with store.engine.connect() as connection:
        return [hit.key for hit in nearest(connection, towards(0), "meaning", limit)]


def test_hits_come_best_first_with_their_similarity(store: EventStore) -> None:
    for name, degrees in {"lion": 30, "cat": 0, "rocket": 180, "chair": 90}.items():
        store.append(searchable(name, degrees))
    with store.engine.connect() as connection:
        hits = nearest(connection, towards(0), "meaning")
        assert nearest(connection, towards(0), "meaning", limit=2) == hits[:2]
    assert [hit.summary for hit in hits] == ["A cat.", "A lion.", "A chair.", "A rocket."]
    assert [hit.score for hit in hits] == pytest.approx([1, math.cos(math.radians(30)), 0, -1], abs=1e-3)
    assert hits[0].item_id == Life("uploads/ada/cat.jpg").item_id
    assert hits[0].key == "uploads/ada/cat.jpg"


def test_only_current_accepted_items_of_the_asked_model_are_found(store: EventStore) -> None:
    removed, rejected, replaced = (Life(f"uploads/ada/{name}.jpg") for name in ("removed", "rejected", "replaced"))
    store.append([*searchable("removed", 1), removed.removed()])
    store.append([*searchable("rejected", 2), rejected.reprocess("probe"), rejected.rejected(generation=1)])
    store.append([*searchable("replaced", 3), replaced.upload("v2"), *replaced.processed("v2")[:3]])  # not yet embedded
    store.append(searchable("other-model", 4, model="other"))
    store.append(searchable("cat", 40))
    assert found(store) == ["uploads/ada/cat.jpg"]
    with store.engine.connect() as connection:
        assert nearest(connection, [1.0, 0.0], "meaning") == []  # of another dimension: none of this model's


def test_an_item_being_reprocessed_is_found_by_its_old_vector(store: EventStore) -> None:
    store.append([*searchable("cat", 0), Life("uploads/ada/cat.jpg").reprocess("embed")])
    assert found(store) == ["uploads/ada/cat.jpg"]


def test_copies_of_one_picture_hide_nothing(store: EventStore, owner: Connection) -> None:
    """More equal vectors than a node of the index has neighbours, and then one that is different."""
    ensure_embedding_index(owner, "meaning", 3)
    owner.commit()
    for number in range(60):
        store.append(searchable(f"copy-{number}", 90))
    store.append(searchable("cat", 0))
    assert found(store, limit=1) == ["uploads/ada/cat.jpg"]


def test_among_many_the_index_of_the_model_answers_every_time(
    database: Database, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without fresh statistics, and after the driver has prepared the statement: a plan that doesn't know the model
    couldn't use a partial index."""
    monkeypatch.setattr("media_assets.eventlog.search.EXACT_UP_TO", 100)
    query = fill(owner)
    exact = rows(owner, f"{NEAREST_FIRST} LIMIT 3", vector=str(query))
    with database.store.engine.connect() as connection:
        for _ in range(20):
            hits = nearest(connection, query, "meaning", limit=3)
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
    assert [hit.key for hit in hits] == [row["key"] for row in exact]
    scans = rows(owner, "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'embeddings_hnsw%'")
    assert scans == [{"idx_scan": 20}]


def test_superseded_vectors_in_the_way_do_not_use_up_the_limit(
    database: Database, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index hands out candidates by the dozen; when all of them are of old versions, the search goes on."""
    monkeypatch.setattr("media_assets.eventlog.search.EXACT_UP_TO", 100)
    query = fill(owner)
    nearest_first = [row["key"] for row in rows(owner, NEAREST_FIRST, vector=str(query))]
    owner.execute(text("UPDATE items SET version_id = 'v2' WHERE key = ANY(:keys)"), {"keys": nearest_first[:-50]})
    owner.commit()
    with database.store.engine.connect() as connection:
        hits = nearest(connection, query, "meaning", limit=30)
    assert len(hits) == 30
    assert {hit.key for hit in hits} <= set(nearest_first[-50:])


NEAREST_FIRST = """
    SELECT key FROM items JOIN embeddings USING (item_id, version_id) ORDER BY embedding <=> CAST(:vector AS vector)
"""


def fill(owner: Connection) -> list[float]:
    """MANY items with random vectors, straight into the read models, and the model's index. Returns a vector to look for."""
    luck = random.Random(1)

    def vector() -> list[float]:
        return [luck.gauss(0, 1) for _ in range(16)]

    owner.execute(
        text("""
            WITH made AS (
                SELECT gen_random_uuid() AS item_id, n, vector
                FROM unnest(CAST(:vectors AS text[])) WITH ORDINALITY AS v (vector, n)
            ), i AS (
                INSERT INTO items (item_id, user_id, bucket, key, version_id, etag, size_bytes, hour, received_at, state)
                SELECT item_id, 'ada', 'photos', 'uploads/ada/' || n, 'v1', 'e', 1, now(), now(), 'done' FROM made
            ), a AS (
                INSERT INTO analyses
                SELECT item_id, 'v1', gen_random_uuid(), 'ada', 0, 'r1', 'local', 'sight', 'animal', 'A cat.',
                       '[]', '[]', '[]', '[]', 0, 0, now() FROM made
            )
            INSERT INTO embeddings
            SELECT item_id, 'v1', gen_random_uuid(), 'ada', 0, 'r1', 'meaning', 16, vector::vector, now() FROM made
        """),
        {"vectors": [str(vector()) for _ in range(MANY)]},
    )
    ensure_embedding_index(owner, "meaning", 16)
    owner.commit()
    return vector()


def test_every_model_has_an_index_of_its_own_made_once(owner: Connection) -> None:
    """Names that are long, differ only in punctuation, or hold characters that SQL or a driver takes for its own."""
    models = ["a/b", "a-b", "x" * 80 + "1", "x" * 80 + "2", "tag:latest", "100%s", "o'clock", "back\\slash"]
    for model in models * 2:
        ensure_embedding_index(owner, model, 3)
    ensure_embedding_index(owner, "a/b", 4000)
    made = rows(owner, "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'embeddings_hnsw%'")
    assert len(made) == len(models) + 1
    for model in models:
        assert sum(f"model = '{model.replace(chr(39), chr(39) * 2)}'::text" in row["indexdef"] for row in made) == (
            2 if model == "a/b" else 1
        )


@pytest.mark.parametrize("dimensions", [0, -1, 4001])
def test_dimensions_that_cannot_be_indexed_are_refused(owner: Connection, dimensions: int) -> None:
    with pytest.raises(ValueError, match="1 to 4000"):
        ensure_embedding_index(owner, "meaning", dimensions)
