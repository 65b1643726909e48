"""Results that aren't what computing them today would give: which there are, and which of them to ask for anew.

Nothing starts by itself because of an answer from here: a changed recipe must not become a bill.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS, with_dependents
from media_assets.steps.period import EVER, Period

Reason = Literal["missing", "recipe", "dead"]
Choice = Literal["stale", "dead", "all"]

# By the result of the generation that counts, also of steps that wait for an earlier one: their result may be there still.
_STANDING = """
    standing AS MATERIALIZED (
        SELECT i.item_id, i.kind, i.key, i.hour, c.step, c.place, r.outcome, r.recipe, c.recipe AS current_recipe,
               r.finished_at,
               CASE WHEN r.outcome = 'done' THEN CASE WHEN r.recipe <> c.recipe THEN 'recipe' END
                    WHEN r.outcome = 'rejected' THEN NULL
                    WHEN f.dead THEN 'dead'
                    WHEN i.state <> 'rejected' THEN 'missing' END AS reason
        FROM items i
        JOIN step_graph() g ON g.kind = i.kind OR (g.kind IS NULL AND i.kind IS DISTINCT FROM 'frame')
        JOIN unnest(CAST(:steps AS text[]), CAST(:recipes AS text[])) WITH ORDINALITY AS c (step, recipe, place)
          ON c.step = g.step
        LEFT JOIN requested_generations q ON q.item_id = i.item_id AND q.step = c.step
        LEFT JOIN step_results r ON r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = c.step
                                AND r.generation = coalesce(q.generation, 0)
        LEFT JOIN step_failures f ON f.item_id = i.item_id AND f.version_id = i.version_id AND f.step = c.step
                                 AND f.generation = coalesce(q.generation, 0)
        WHERE i.state <> 'removed'
          AND (CAST(:first AS timestamptz) IS NULL OR i.hour >= :first)
          AND (CAST(:last AS timestamptz) IS NULL OR i.hour <= :last)
    )
"""


@dataclass(frozen=True)
class StaleItem:
    """A step of an item whose result is `missing` (to be computed still, by itself), of another `recipe` than today's, or
    `dead` (given up). `recipe` is that of the result there is."""

    item_id: uuid.UUID
    key: str
    hour: datetime
    step: str
    reason: Reason
    recipe: str | None
    current_recipe: str


@dataclass(frozen=True)
class Staleness:
    """How many items by step and reason, and some of them: in the order of steps, reasons and arrival."""

    totals: dict[tuple[str, Reason], int]
    items: list[StaleItem]


def staleness(
    connection: Connection,
    settings: Settings,
    *,
    step: str | None = None,
    period: Period = EVER,
    limit: int | None = None,
    offset: int = 0,
) -> Staleness:
    """What is stale, of one step or all; `limit` and `offset` are of the items, totals are of everything.

    Of an item that wasn't probed yet nobody knows which steps it will take: its probe alone is missing. Behind a rejection
    nothing is.
    """
    rows = connection.execute(
        text(f"""
            WITH {_STANDING}, found AS MATERIALIZED (SELECT * FROM standing WHERE reason IS NOT NULL)
            (SELECT count(*) AS n, step, reason, place, NULL::uuid AS item_id, NULL AS key, NULL::timestamptz AS hour,
                    NULL AS recipe, NULL AS current_recipe
             FROM found GROUP BY step, reason, place ORDER BY place, reason)
            UNION ALL
            (SELECT NULL, step, reason, place, item_id, key, hour, recipe, current_recipe
             FROM found ORDER BY place, reason, hour, item_id LIMIT :limit OFFSET :offset)
        """),
        {**_parameters(settings, step, period), "limit": limit, "offset": offset},
    ).all()
    return Staleness(
        {(row.step, row.reason): row.n for row in rows if row.n is not None},
        [
            StaleItem(row.item_id, row.key, row.hour, row.step, row.reason, row.recipe, row.current_recipe)
            for row in rows
            if row.n is None
        ],
    )


def chosen(
    connection: Connection,
    settings: Settings,
    choice: Choice,
    *,
    step: str | None = None,
    period: Period = EVER,
    before: datetime | None = None,
    only: bool = False,
) -> dict[tuple[str, ...], list[uuid.UUID]]:
    """Items to compute anew, by the steps to compute: of `step`, or each step, those whose result is chosen, and what is
    computed from it unless `only`.

    `stale` are results of another recipe, `dead` what was given up, `all` both and every other result, a rejection too,
    that was there `before` then. What is missing is computed anyway.
    """
    condition = {
        "stale": "reason = 'recipe'",
        "dead": "reason = 'dead'",
        "all": "(outcome IS NOT NULL AND (CAST(:before AS timestamptz) IS NULL OR finished_at < :before)) OR reason = 'dead'",
    }[choice]
    rows = connection.execute(
        text(f"""
            WITH {_STANDING}
            SELECT item_id, kind, array_agg(step ORDER BY place) FROM standing WHERE {condition}
            GROUP BY item_id, kind, hour ORDER BY hour, item_id
        """),
        {**_parameters(settings, step, period), **({"before": before} if choice == "all" else {})},
    )
    found: dict[tuple[str, ...], list[uuid.UUID]] = {}
    for item_id, kind, names in rows:
        found.setdefault(tuple(names) if only else _with_dependents(names, kind), []).append(item_id)
    return found


def _with_dependents(steps: Sequence[str], kind: str | None) -> tuple[str, ...]:
    """Those that an item of a kind takes. What it will take once its kind is known has no result yet."""
    every = {name for step in steps for name in with_dependents(step)}
    return tuple(name for name in STEPS if name in steps or (name in every and kind in STEPS[name].kinds))


def _parameters(settings: Settings, step: str | None, period: Period) -> dict[str, Any]:
    steps = list(STEPS) if step is None else [step]
    return {
        "steps": steps,
        "recipes": [STEPS[name].recipe(settings).digest for name in steps],
        "first": period.first,
        "last": period.last,
    }
