"""What outcomes cost: sums over the read model `costs`, and over an item's own events."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import Connection, text

from media_assets.eventlog.events import item_stream

Grouping = Literal["step", "user", "day"]
_COLUMNS: dict[Grouping, str] = {"step": "step", "user": "user_id", "day": "day"}


@dataclass(frozen=True)
class Cost:
    """What a number of outcomes, and of failures, cost. `key` is a step, a user, a day in ISO 8601, or `total`."""

    key: str
    outcomes: int
    failures: int
    milliseconds: int
    gigabyte_seconds: float
    tokens_in: int
    tokens_out: int
    micro_dollars: int


def costs_by(
    connection: Connection, grouping: Grouping, *, since: date | None = None, until: date | None = None
) -> tuple[list[Cost], Cost]:
    """Costs of the days (UTC) from `since` to `until`, both included, by step, user or day in that order; and their total."""
    rows = connection.execute(
        text(f"""
            SELECT coalesce({_COLUMNS[grouping]}::text, ''), coalesce(sum(outcomes), 0)::bigint,
                   coalesce(sum(failures), 0)::bigint, coalesce(sum(milliseconds), 0)::bigint,
                   coalesce(sum(megabyte_milliseconds), 0)::float / 1024 / 1000, coalesce(sum(tokens_in), 0)::bigint,
                   coalesce(sum(tokens_out), 0)::bigint, coalesce(sum(micro_dollars), 0)::bigint
            FROM costs
            WHERE (CAST(:since AS date) IS NULL OR day >= :since) AND (CAST(:until AS date) IS NULL OR day <= :until)
            GROUP BY GROUPING SETS ((), ({_COLUMNS[grouping]}))
            ORDER BY GROUPING({_COLUMNS[grouping]}), {_COLUMNS[grouping]}
        """),
        {"since": since, "until": until},
    )
    *costs, (_, *total) = rows.tuples()
    return [Cost(*cost) for cost in costs], Cost("total", *total)


def item_cost(connection: Connection, item_id: uuid.UUID) -> int:
    """What has been spent on an item so far, in micro-dollars. It outlives the item's erasure."""
    return int(
        connection.execute(
            text("SELECT coalesce(sum(micro_dollars), 0) FROM events WHERE stream_id = :stream"),
            {"stream": item_stream(item_id)},
        ).scalar_one()
    )


def video_costs(connection: Connection, item_id: uuid.UUID) -> tuple[int, int]:
    """What has been spent on a video's frames, those of its older versions too, and on its jobs, in micro-dollars. Neither is
    part of `item_cost`. Once the video is erased nothing says any more which frames and jobs were its own."""
    frames, jobs = connection.execute(
        text("""
            SELECT (SELECT coalesce(sum(e.micro_dollars), 0)::bigint
                    FROM items f JOIN events e ON e.stream_id = 'item-' || f.item_id WHERE f.parent_item_id = :id),
                   (SELECT coalesce(sum(e.micro_dollars), 0)::bigint
                    FROM jobs j JOIN events e ON e.stream_id = 'job-' || j.job_id WHERE j.item_id = :id)
        """),
        {"id": item_id},
    ).one()
    return frames, jobs
