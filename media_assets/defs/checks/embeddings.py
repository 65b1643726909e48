"""Vectors are normalised, of the recorded dimension, of the current analysis, and find themselves."""

import uuid

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from sqlalchemy import Connection, text

from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.eventlog.search import nearest

_SEARCHED_IN_A_RUN = 24
"""Vectors that are searched for in a run; standalone, all are."""
_HITS = 10
_TOLERANCE = 1e-3


def unsound(connection: Connection, scope: Scope) -> Findings:
    """Vectors of the scope that aren't what they say, or that a search for themselves doesn't find at distance zero."""
    rows = connection.execute(
        text("""
            SELECT m.item_id, m.model, m.embedding::text AS vector, m.dimensions, vector_dims(m.embedding) AS actual,
                   vector_norm(m.embedding) AS norm, m.analysis_id = a.analysis_id AS current
            FROM items i JOIN embeddings m USING (item_id, version_id) LEFT JOIN analyses a USING (item_id, version_id)
            WHERE i.item_id = ANY(:ids) AND i.state NOT IN ('rejected', 'removed') ORDER BY m.item_id
        """),
        {"ids": scope.item_ids},
    ).all()
    findings = Findings(checked=len(rows))
    to_search = len(rows) if scope.whole else _SEARCHED_IN_A_RUN
    for row in rows:
        if row.actual != row.dimensions:
            findings.problems.append(f"{row.item_id}: {row.actual} dimensions, recorded are {row.dimensions}")
        if abs(row.norm - 1) > _TOLERANCE:
            findings.problems.append(f"{row.item_id}: length {row.norm:.4f} instead of 1")
        if not row.current:
            findings.problems.append(f"{row.item_id}: the vector is of an earlier analysis")
        if to_search > 0:
            to_search -= 1
            if not _finds_itself(connection, row.item_id, row.model, row.vector):
                findings.problems.append(f"{row.item_id}: a search for its own vector doesn't find it")
    return findings


def _finds_itself(connection: Connection, item_id: uuid.UUID, model: str, vector: str) -> bool:
    """Whether a search brings the item, or as many hits as it may, each as near: copies of one picture have equal vectors."""
    hits = nearest(connection, [float(value) for value in vector.strip("[]").split(",")], model, limit=_HITS)
    near = [hit.item_id for hit in hits if hit.score > 1 - _TOLERANCE]
    return item_id in near or len(near) == _HITS


@asset_check(asset="embeddings", description="Vectors are normalised, of the recorded dimension, and find themselves.")
def embeddings_are_sound(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "embed")
        return unsound(connection, scope).result(scope)
