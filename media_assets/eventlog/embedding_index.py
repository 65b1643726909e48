"""One HNSW index a model: vectors of different models have different dimensions and are never compared."""

from __future__ import annotations

import re

from sqlalchemy import Connection


def ensure_embedding_index(connection: Connection, model: str, dimensions: int) -> None:
    """Create the model's partial cosine index on halfvec if it isn't there. Needs the owner's role.

    Raises ValueError for dimensions that pgvector can't index (halfvec: 1 to 4,000).
    """
    if not 0 < dimensions <= 4000:
        raise ValueError(f"embeddings of {model!r} have {dimensions} dimensions; pgvector indexes 1 to 4000 as halfvec")
    name = "embeddings_hnsw_" + re.sub(r"[^a-z0-9]+", "_", f"{model}_{dimensions}".lower())[:40]
    literal = model.replace("'", "''")
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {name} ON embeddings USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)"
        f" WHERE model = '{literal}' AND dimensions = {dimensions}"
    )
