"""Search by meaning: nearest neighbours of a vector among the current embeddings of one model, by cosine distance."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Hit:
    """An item and its cosine similarity to the query, from -1 to 1."""

    item_id: uuid.UUID
    key: str
    score: float
    summary: str


def nearest(connection: Connection, vector: Sequence[float], model: str, limit: int = 10) -> list[Hit]:
    """The `limit` items whose current vector of `model` is nearest, best first. Rejected and removed items are left out.

    The HNSW index of the model answers; iterative scanning goes on past superseded versions until `limit` is reached
    (pgvector, "Iterative index scans"). Items are looked up per candidate (LATERAL), or the planner would trade the index
    for a scan of all vectors whenever it thinks that few of them are current.
    """
    dimensions = len(vector)
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    rows = connection.execute(
        text(f"""
            SELECT m.item_id, found.key, found.summary,
                   CAST(m.embedding AS halfvec({dimensions})) <=> CAST(:vector AS halfvec({dimensions})) AS distance
            FROM embeddings m CROSS JOIN LATERAL (
                SELECT i.key, a.summary FROM items i JOIN analyses a USING (item_id, version_id)
                WHERE i.item_id = m.item_id AND i.version_id = m.version_id AND i.state NOT IN ('rejected', 'removed') LIMIT 1
            ) AS found
            WHERE m.model = :model AND m.dimensions = {dimensions}
            ORDER BY distance LIMIT :limit
        """),
        {"vector": str(list(vector)), "model": model, "limit": limit},
    )
    return [Hit(row.item_id, row.key, 1 - row.distance, row.summary) for row in rows]


def nearest_to_item(connection: Connection, item_id: uuid.UUID) -> float | None:
    """Cosine distance at which a search for an item's own vector finds the item; None if it isn't among the first ten."""
    row = connection.execute(
        text("""
            SELECT m.embedding::text, m.model FROM items i JOIN embeddings m USING (item_id, version_id)
            WHERE i.item_id = :item_id
        """),
        {"item_id": item_id},
    ).one()
    vector = [float(value) for value in row[0].strip("[]").split(",")]
    hits = nearest(connection, vector, row[1], limit=10)
    return next((1 - hit.score for hit in hits if hit.item_id == item_id), None)
