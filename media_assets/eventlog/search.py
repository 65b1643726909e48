"""Search by meaning: nearest neighbours of a vector among the current embeddings of one model, by cosine distance."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Hit:
    """An item and its cosine similarity to the query, from -1 to 1. A frame says which video's it is, and of which moment."""

    item_id: uuid.UUID
    key: str
    score: float
    summary: str
    parent_item_id: uuid.UUID | None = None
    parent_key: str | None = None
    timecode_ms: int | None = None


EXACT_UP_TO = 20_000
"""Vectors of a model that are compared one by one, which takes some 12 ms and misses nothing."""


def nearest(connection: Connection, vector: Sequence[float], model: str, limit: int = 10) -> list[Hit]:
    """The `limit` items whose current vector of `model` is nearest, best first. Rejected and removed items are left out.

    Exact for up to EXACT_UP_TO vectors: dozens of equal ones, as a burst of similar photos has, can fill the neighbourhoods
    of an HNSW graph so that no path leads to the rest. Beyond, the model's HNSW index answers; iterative scanning goes on
    past superseded versions until `limit` is reached (pgvector, "Iterative index scans"). Items are looked up per candidate
    (LATERAL), or the planner would trade the index for a scan of all vectors whenever it thinks that few are current.
    """
    dimensions = len(vector)
    few = connection.execute(
        text("SELECT count(*) <= :few FROM (SELECT FROM embeddings WHERE model = :model LIMIT :few + 1) _"),
        {"model": model, "few": EXACT_UP_TO},
    ).scalar_one()
    # The index is on halfvec: distances of the plain vectors are computed one by one.
    kind = "vector" if few else f"halfvec({dimensions})"
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    # In a subquery of its own the exact order is found of keys and distances alone: sorting the vectors with them takes three
    # times as long, on disk. An index's order would be lost to the LIMIT outside, so there the planner is to see through it.
    rows = connection.execute(
        text(f"""
            SELECT m.item_id, m.distance, found.*
            FROM (
                SELECT item_id, version_id, CAST(embedding AS {kind}) <=> CAST(:vector AS {kind}) AS distance
                FROM embeddings WHERE model = :model AND dimensions = {dimensions}
                {"ORDER BY distance" if few else ""}
            ) m CROSS JOIN LATERAL (
                SELECT i.key, a.summary, i.parent_item_id, i.timecode_ms,
                       (SELECT p.key FROM items p WHERE p.item_id = i.parent_item_id) AS parent_key
                FROM items i JOIN analyses a USING (item_id, version_id)
                WHERE i.item_id = m.item_id AND i.version_id = m.version_id AND i.state NOT IN ('rejected', 'removed') LIMIT 1
            ) AS found
            ORDER BY m.distance LIMIT :limit
        """),
        {"vector": str(list(vector)), "model": model, "limit": limit},
    )
    return [
        Hit(row.item_id, row.key, 1 - row.distance, row.summary, row.parent_item_id, row.parent_key, row.timecode_ms)
        for row in rows
    ]
