"""Claims: a batch takes items under a lease before it is dispatched, so that nothing is computed by two runs at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from media_assets.eventlog.events import Trace
from media_assets.steps.step import Step, Work

# Two runs that claim a step at once take turns for a few milliseconds, so that the second one sees what the first took.
# Row locks with SKIP LOCKED would need the right to update read models, which only their folds have.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(7236456, hashtext(:step))")

# New uploads before recomputations, oldest first: hour by hour in the order of the index `steps_pending`, so that a claim
# costs the same however much is pending.
_CLAIM = text("""
    WITH due AS (
        SELECT first.item_id, first.step, first.user_id
        FROM unnest(CAST(:hours AS timestamptz[])) AS h (hour)
        CROSS JOIN LATERAL (
            SELECT s.item_id, s.step, s.user_id, s.recomputation, s.position
            FROM steps s
            WHERE s.step = :step AND s.hour = h.hour AND s.state = 'pending' AND (s.retry_at IS NULL OR s.retry_at <= now())
              AND (SELECT c.lease_expires_at >= now() FROM claims c
                   WHERE c.item_id = s.item_id AND c.step = s.step) IS NOT TRUE
            ORDER BY s.recomputation, s.position
            LIMIT :limit
        ) AS first
        ORDER BY first.recomputation, first.position
        LIMIT :limit
    ), claimed AS (
        INSERT INTO claims (item_id, step, user_id, claim_id, run_id, lease_expires_at)
        SELECT item_id, step, user_id, :claim_id, :run_id, now() + make_interval(secs => :lease_seconds) FROM due
        ON CONFLICT (item_id, step) DO UPDATE
        SET claim_id = excluded.claim_id, run_id = excluded.run_id, lease_expires_at = excluded.lease_expires_at,
            attempts = claims.attempts + 1
        WHERE claims.lease_expires_at < now()
        RETURNING item_id, step, attempts
    )
    SELECT s.item_id, s.user_id, i.bucket, i.key, i.version_id, i.size_bytes,
           coalesce(i.width::bigint * i.height, 0) AS pixels, s.hour, s.step, s.generation, s.failures,
           claimed.attempts + s.failures AS attempt, s.correlation_id, s.cause_id
    FROM claimed JOIN steps s USING (item_id, step) JOIN items i USING (item_id)
    ORDER BY s.recomputation, s.position
""")


class Claims:
    """The claims of one drain of one step, all under one lease that `renew` extends."""

    def __init__(self, engine: Engine, *, run_id: str | None, lease_seconds: int) -> None:
        self._engine = engine
        self._run_id = run_id
        self._lease_seconds = lease_seconds
        self.claim_id = uuid.uuid4()

    def take(self, step: Step, hours: Sequence[datetime], limit: int) -> list[Work]:
        """Claim up to `limit` due items of these hours, with the facts that the step reads."""
        with self._engine.begin() as connection:
            connection.execute(_TAKE_TURNS, {"step": step.name})
            rows = connection.execute(
                _CLAIM,
                {
                    "step": step.name,
                    "hours": list(hours),
                    "limit": limit,
                    "claim_id": self.claim_id,
                    "run_id": self._run_id,
                    "lease_seconds": self._lease_seconds,
                },
            )
            works = [_work(row._asdict()) for row in rows]
            inputs = step.inputs(connection, works) if works else {}
        return [replace(work, input=inputs.get(work.item_id, {})) for work in works]

    def renew(self) -> None:
        """Extend the lease of everything still claimed. Rows that are being settled are left out, so it never waits."""
        with self._engine.begin() as connection:
            connection.execute(
                text("""
                    UPDATE claims SET lease_expires_at = now() + make_interval(secs => :s)
                    WHERE (item_id, step) IN (
                        SELECT item_id, step FROM claims
                        WHERE claim_id = :claim_id AND lease_expires_at <> '-infinity' FOR UPDATE SKIP LOCKED
                    )
                """),
                {"s": self._lease_seconds, "claim_id": self.claim_id},
            )

    def settle(self, connection: Connection, works: Iterable[Work]) -> None:
        """Forget the claims of items whose outcome the same transaction records."""
        connection.execute(
            text("DELETE FROM claims WHERE claim_id = :claim_id AND item_id = ANY(:ids)"),
            {"claim_id": self.claim_id, "ids": [work.item_id for work in works]},
        )

    def release(self, connection: Connection, works: Iterable[Work]) -> None:
        """Give items back without an outcome. They may have been attempted, so their claims stay, expired, and count."""
        connection.execute(
            text("UPDATE claims SET lease_expires_at = '-infinity' WHERE claim_id = :claim_id AND item_id = ANY(:ids)"),
            {"claim_id": self.claim_id, "ids": [work.item_id for work in works]},
        )

    def release_all(self) -> None:
        """Give back whatever is still claimed: the end of a drain, however it ends."""
        with self._engine.begin() as connection:
            connection.execute(
                text("UPDATE claims SET lease_expires_at = '-infinity' WHERE claim_id = :claim_id"),
                {"claim_id": self.claim_id},
            )


def _work(row: dict[str, Any]) -> Work:
    trace = Trace(correlation_id=row.pop("correlation_id"), causation_id=row.pop("cause_id"))
    return Work(**row, trace=trace)
