"""What is due, waiting or failed: pure queries over the read models, claims and breakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from media_assets.settings import Settings
from media_assets.steps.budgets import BUDGETED, short_of_money
from media_assets.steps.catalogue import STEPS


@dataclass(frozen=True)
class StepCounts:
    """Items by where a step stands: due or waiting for a retry, claimed, finished, waiting after a failure, dead.

    `over_budget` are those of the pending and failed ones that wait because their user's budget is spent.
    """

    pending: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    dead: int = 0
    rejected: int = 0
    over_budget: int = 0


def due_hours(connection: Connection, settings: Settings) -> list[datetime]:
    """Hours with work that could start now: pending, not waiting for a retry or for money, unclaimed, its target's breaker
    closed.

    Sensors ask every few seconds, so the query leaps from hour to hour along the index `steps_pending` and looks in each
    for one such row, instead of reading all that is pending.
    """
    short = [(step, user) for step, users in short_of_money(connection, settings).items() for user in users]
    rows = connection.execute(
        text("""
            WITH RECURSIVE short AS (
                SELECT * FROM unnest(CAST(:short_steps AS text[]), CAST(:short_users AS text[])) AS s (step, user_id)
            ), waiting AS (
                (SELECT step, hour FROM steps WHERE state = 'pending' ORDER BY step, hour LIMIT 1)
                UNION ALL
                SELECT next.step, next.hour
                FROM waiting w CROSS JOIN LATERAL (
                    SELECT s.step, s.hour FROM steps s
                    WHERE s.state = 'pending' AND (s.step, s.hour) > (w.step, w.hour) ORDER BY s.step, s.hour LIMIT 1
                ) AS next
            )
            SELECT DISTINCT w.hour
            FROM waiting w CROSS JOIN LATERAL (
                SELECT FROM steps s
                WHERE s.step = w.step AND s.hour = w.hour AND s.state = 'pending'
                  AND (s.retry_at IS NULL OR s.retry_at <= now())
                  AND (s.step, s.user_id) NOT IN (SELECT step, user_id FROM short)
                  AND (SELECT c.lease_expires_at >= now() FROM claims c
                       WHERE c.item_id = s.item_id AND c.step = s.step) IS NOT TRUE
                ORDER BY s.recomputation, s.position LIMIT 1
            ) AS startable
            WHERE NOT EXISTS (SELECT FROM breakers b WHERE b.target = w.step AND b.open_until > now())
            ORDER BY w.hour
        """),
        {"short_steps": [step for step, _ in short], "short_users": [user for _, user in short]},
    )
    return [hour for (hour,) in rows]


def step_counts(connection: Connection, hours: Sequence[datetime] | None = None) -> dict[str, StepCounts]:
    """Counts by step, over all hours or the given ones. Every step is there, with zeros if it has no item."""
    rows = connection.execute(
        text("""
            SELECT s.step,
                   count(*) FILTER (WHERE s.state = 'pending' AND c.item_id IS NULL AND s.failures = 0) AS pending,
                   count(*) FILTER (WHERE s.state = 'pending' AND c.item_id IS NOT NULL) AS running,
                   count(*) FILTER (WHERE s.state = 'done') AS done,
                   count(*) FILTER (WHERE s.state = 'pending' AND c.item_id IS NULL AND s.failures > 0) AS failed,
                   count(*) FILTER (WHERE s.state = 'dead') AS dead,
                   count(*) FILTER (WHERE s.state = 'rejected') AS rejected,
                   count(*) FILTER (WHERE s.state = 'pending' AND c.item_id IS NULL AND o.user_id IS NOT NULL) AS over_budget
            FROM steps s
            LEFT JOIN claims c ON c.item_id = s.item_id AND c.step = s.step AND c.lease_expires_at >= now()
            LEFT JOIN spending_stops o ON o.user_id = s.user_id AND s.step = ANY(:budgeted)
            WHERE CAST(:hours AS timestamptz[]) IS NULL OR s.hour = ANY(:hours)
            GROUP BY s.step
        """),
        {"hours": None if hours is None else list(hours), "budgeted": list(BUDGETED)},
    )
    found = {row.step: StepCounts(*row[1:]) for row in rows}
    return {name: found.get(name, StepCounts()) for name in STEPS}
