"""What is due, waiting or failed: pure queries over the read models, claims and breakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from media_assets.settings import Settings
from media_assets.steps.budgets import BUDGETED, short_of_money
from media_assets.steps.catalogue import PIPELINE_OF, PIPELINES, STEPS, steps_before

Kind = Literal["new", "again"]
"""Work of uploads, retries included; or recomputations of what came to an end before."""
KINDS: tuple[Kind, ...] = ("new", "again")

_UNCLAIMED = """
    (SELECT c.lease_expires_at >= now() FROM claims c WHERE c.item_id = s.item_id AND c.step = s.step) IS NOT TRUE
"""

# Steps of which not every target is down, and none that no other can stand in for.
_REACHABLE = """
    SELECT t.step FROM unnest(CAST(:steps AS text[]), CAST(:breakers AS text[]), CAST(:needed AS boolean[]))
                       AS t (step, breaker, needed)
    CROSS JOIN LATERAL (
        SELECT NOT EXISTS (SELECT FROM breakers b WHERE b.target = t.breaker AND b.open_until > now()) AS answers
    ) a
    GROUP BY t.step HAVING bool_or(a.answers) AND bool_and(a.answers OR NOT t.needed)
"""


@dataclass(frozen=True)
class Due:
    """An hour's work of one kind on one pipeline: what a run is asked for."""

    pipeline: str
    hour: datetime
    kind: Kind


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


@dataclass(frozen=True)
class LeftPending:
    """Items whose step is pending, claimed or not; `over_budget` are those that wait because their user's budget is spent."""

    items: int
    over_budget: int


def due_work(connection: Connection, settings: Settings) -> list[Due]:
    """Work to ask for runs for, in the order of pipelines, hours and kinds.

    It could start now: pending, not waiting for a retry or for money, unclaimed, the breaker of one of its step's targets
    closed. Of a step that gathers its items for a task on ECS, enough of the hour are there for one, or no more of it is on
    its way, or it has waited for `ecs_gather_seconds`.

    Sensors ask every few seconds, so the query leaps from hour to hour and kind to kind along the index `steps_pending` and
    looks in each for one such row, instead of reading all that is pending.
    """
    short = [(step, user) for step, users in short_of_money(connection, settings).items() for user in users]
    rows = connection.execute(
        text(f"""
            WITH RECURSIVE short AS (
                SELECT * FROM unnest(CAST(:short_steps AS text[]), CAST(:short_users AS text[])) AS s (step, user_id)
            ), waiting AS (
                (SELECT step, hour, recomputation FROM steps WHERE state = 'pending'
                 ORDER BY step, hour, recomputation LIMIT 1)
                UNION ALL
                SELECT next.step, next.hour, next.recomputation
                FROM waiting w CROSS JOIN LATERAL (
                    SELECT s.step, s.hour, s.recomputation FROM steps s
                    WHERE s.state = 'pending' AND (s.step, s.hour, s.recomputation) > (w.step, w.hour, w.recomputation)
                    ORDER BY s.step, s.hour, s.recomputation LIMIT 1
                ) AS next
            )
            SELECT w.step, w.hour, w.recomputation
            FROM waiting w CROSS JOIN LATERAL (
                SELECT s.cause_id FROM steps s
                WHERE s.step = w.step AND s.hour = w.hour AND s.recomputation = w.recomputation AND s.state = 'pending'
                  AND (s.retry_at IS NULL OR s.retry_at <= now())
                  AND (s.step, s.user_id) NOT IN (SELECT step, user_id FROM short)
                  AND {_UNCLAIMED}
                ORDER BY s.position LIMIT 1
            ) AS startable
            WHERE w.step IN ({_REACHABLE})
              AND CASE
                  WHEN w.step <> ALL(CAST(:gathering AS text[])) THEN true
                  WHEN NOT EXISTS (
                      SELECT FROM unnest(CAST(:gathering AS text[]), CAST(:before AS text[])) AS g (step, before)
                      JOIN steps s ON s.step = g.before AND s.hour = w.hour AND s.state = 'pending'
                      WHERE g.step = w.step
                  ) THEN true
                  WHEN (SELECT e.recorded_at > now() - make_interval(secs => :gather_seconds) FROM events e
                        WHERE e.event_id = startable.cause_id) IS NOT TRUE THEN true
                  ELSE (SELECT count(*) = :enough FROM (
                            SELECT FROM steps s
                            WHERE s.step = w.step AND s.hour = w.hour AND s.recomputation = w.recomputation
                              AND s.state = 'pending' AND (s.retry_at IS NULL OR s.retry_at <= now()) AND {_UNCLAIMED}
                            LIMIT :enough
                        ) _)
              END
        """),
        {
            "short_steps": [step for step, _ in short],
            "short_users": [user for _, user in short],
            "gather_seconds": settings.ecs_gather_seconds,
            "enough": settings.ecs_min_items,
            **_targets(),
            **_gathering(),
        },
    )
    pipelines = list(PIPELINES)
    due = {Due(PIPELINE_OF[step], hour, "again" if recomputation else "new") for step, hour, recomputation in rows}
    return sorted(due, key=lambda each: (pipelines.index(each.pipeline), each.hour, KINDS.index(each.kind)))


def on_their_way(connection: Connection, step: str, hours: Sequence[datetime]) -> bool:
    """Whether steps before this one have work on uploads of these hours, now, which may become work of this one."""
    return bool(
        connection.execute(
            text("""
                SELECT EXISTS (
                    SELECT FROM steps
                    WHERE step = ANY(:before) AND hour = ANY(:hours) AND state = 'pending' AND NOT recomputation
                      AND (retry_at IS NULL OR retry_at <= now())
                )
            """),
            {"before": list(steps_before(step)), "hours": list(hours)},
        ).scalar_one()
    )


def uploads_waiting(connection: Connection) -> bool:
    """Whether any upload's work is under way or could start now: recomputations make way for it.

    Asked before every batch of a backfill, so it reads nothing of what is pending besides: the index `steps_new`
    has the work of uploads alone.
    """
    return bool(
        connection.execute(
            text(f"""
                SELECT EXISTS (
                    SELECT FROM ({_REACHABLE}) AS r (step) CROSS JOIN LATERAL (
                        SELECT FROM steps s
                        WHERE s.step = r.step AND s.state = 'pending' AND NOT s.recomputation
                          AND (s.retry_at IS NULL OR s.retry_at <= now())
                          AND (s.step <> ALL(CAST(:budgeted AS text[]))
                               OR s.user_id NOT IN (SELECT user_id FROM spending_stops))
                        ORDER BY s.hour DESC, s.position DESC LIMIT 1
                    ) AS startable
                )
            """),
            {"budgeted": list(BUDGETED), **_targets()},
        ).scalar_one()
    )


def step_counts(connection: Connection) -> dict[str, StepCounts]:
    """Counts by step, over all hours. Every step is there, with zeros if it has no item."""
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
            GROUP BY s.step
        """),
        {"budgeted": list(BUDGETED)},
    )
    found = {row.step: StepCounts(*row[1:]) for row in rows}
    return {name: found.get(name, StepCounts()) for name in STEPS}


def left_pending(connection: Connection, step: str, hour: datetime) -> LeftPending:
    """What is pending of a step in an hour. Reads that alone: an hour may hold any number of items that are done."""
    row = connection.execute(
        text(f"""
            SELECT count(*) AS items, count(*) FILTER (WHERE o.user_id IS NOT NULL AND {_UNCLAIMED}) AS over_budget
            FROM steps s LEFT JOIN spending_stops o ON o.user_id = s.user_id AND s.step = ANY(:budgeted)
            WHERE s.step = :step AND s.hour = :hour AND s.state = 'pending'
        """),
        {"step": step, "hour": hour, "budgeted": list(BUDGETED)},
    ).one()
    return LeftPending(row.items, row.over_budget)


def _targets() -> dict[str, Any]:
    """Each step's targets, by their breakers. What is too large for Lambda can't make do without ECS, which does all that
    Lambda does."""
    pairs = [(step, target) for step in STEPS.values() for target in step.targets]
    return {
        "steps": [step.name for step, _ in pairs],
        "breakers": [step.breaker(target) for step, target in pairs],
        "needed": [target == "ecs" and not step.gathers for step, target in pairs],
    }


def _gathering() -> dict[str, Any]:
    """Steps whose items wait for each other to be worth a task, each with every step before it."""
    pairs = [(step.name, before) for step in STEPS.values() if step.gathers for before in steps_before(step.name)]
    return {"gathering": [name for name, _ in pairs], "before": [before for _, before in pairs]}
