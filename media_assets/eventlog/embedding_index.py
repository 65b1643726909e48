"""One HNSW index a model: vectors of different models have different dimensions and are never compared."""

from __future__ import annotations

import hashlib
import re

from sqlalchemy import Connection


def ensure_embedding_index(connection: Connection, model: str, dimensions: int) -> None:
    """Create the model's partial cosine index on halfvec if it isn't there. Needs the owner's role.

    Raises ValueError for dimensions that pgvector can't index (halfvec: 1 to 4,000).
    """
    if not 0 < dimensions <= 4000:
        raise ValueError(f"embeddings of {model!r} have {dimensions} dimensions; pgvector indexes 1 to 4000 as halfvec")
    # Readable, and unique for names that are long or differ only in punctuation: identifiers end after 63 characters.
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower())[:30]
    digest = hashlib.sha256(f"{model}\n{dimensions}".encode()).hexdigest()[:8]
    name = f"embeddings_hnsw_{readable}_{digest}"
    literal = model.replace("'", "''").replace("%", "%%")
    connection.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {name} ON embeddings USING hnsw ((embedding::halfvec({dimensions})) halfvec_cosine_ops)"
        f" WHERE model = '{literal}' AND dimensions = {dimensions}"
    )
