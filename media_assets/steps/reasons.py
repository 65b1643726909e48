"""Why work is due: what a run that is asked for it will find. For people; nothing is decided by it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from media_assets.steps.catalogue import PIPELINE_OF
from media_assets.steps.pending import Due

MOST_COUNTED = 1000
"""Of each step in an hour: after a large import a sensor's tick should not count all of it."""


@dataclass(frozen=True)
class Reasons:
    """Due items, by what made them due; no number rises beyond `MOST_COUNTED` a step. `uploads` are the
    correlation ids of all that were counted, in the order of their arrival."""

    first_tries: int
    retries: int
    recomputations: int
    uploads: tuple[uuid.UUID, ...]


def reasons(connection: Connection, due: Sequence[Due]) -> dict[Due, Reasons]:
    """What is pending, not waiting for a retry and unclaimed, for each of these that has any."""
    rows = connection.execute(
        text("""
            SELECT d.place, count(*) FILTER (WHERE NOT due.recomputation AND due.failures = 0) AS first_tries,
                   count(*) FILTER (WHERE NOT due.recomputation AND due.failures > 0) AS retries,
                   count(*) FILTER (WHERE due.recomputation) AS recomputations,
                   array_agg(due.correlation_id ORDER BY due.position) AS uploads
            FROM unnest(CAST(:pipelines AS text[]), CAST(:hours AS timestamptz[]), CAST(:again AS boolean[]))
                 WITH ORDINALITY AS d (pipeline, hour, again, place)
            JOIN unnest(CAST(:steps AS text[]), CAST(:pipeline_of AS text[])) AS g (step, pipeline) USING (pipeline)
            CROSS JOIN LATERAL (
                SELECT s.recomputation, s.failures, s.correlation_id, s.position FROM steps s
                WHERE s.step = g.step AND s.hour = d.hour AND s.recomputation = d.again AND s.state = 'pending'
                  AND (s.retry_at IS NULL OR s.retry_at <= now())
                  AND (SELECT c.lease_expires_at >= now() FROM claims c
                       WHERE c.item_id = s.item_id AND c.step = s.step) IS NOT TRUE
                ORDER BY s.position LIMIT :most
            ) AS due
            GROUP BY d.place
        """),
        {
            "pipelines": [each.pipeline for each in due],
            "hours": [each.hour for each in due],
            "again": [each.kind == "again" for each in due],
            "steps": list(PIPELINE_OF),
            "pipeline_of": list(PIPELINE_OF.values()),
            "most": MOST_COUNTED,
        },
    )
    return {
        due[row.place - 1]: Reasons(row.first_tries, row.retries, row.recomputations, tuple(dict.fromkeys(row.uploads)))
        for row in rows
    }
