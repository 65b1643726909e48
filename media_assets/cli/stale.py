"""What isn't as computing it today would give: the command `stale`, and the options that choose hours and steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, money_text, print_json, print_line, print_table
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.estimates import Estimate, estimate_now
from media_assets.steps.period import EVER, Period, parse_bound, parse_period
from media_assets.steps.staleness import staleness

_SHOWN = 20

Hours = Annotated[
    str | None,
    typer.Option(help="Hours of arrival (UTC), both included: 2026-11-21-22:00..2026-11-22-03:00, one hour, or a day."),
]
Since = Annotated[str | None, typer.Option(help="From this hour or day of arrival on.")]


def stale(
    step: Annotated[str | None, typer.Option(help=f"One step: {', '.join(STEPS)}. Default: all.")] = None,
    hours: Hours = None,
    since: Since = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help=f"List so many items. Default: {_SHOWN}, with --json everything.")
    ] = None,
    offset: Annotated[int, typer.Option(min=0, help="Pass over so many items first.")] = 0,
    as_json: Json = False,
) -> None:
    """List items whose result is missing, of an older recipe, or given up, with what computing it may cost. Starts nothing.

    Example: media-assets stale --step analyze --since 2026-11-21
    """
    check_step(step)
    period = period_of(hours, since)
    settings = connection.settings()
    if limit is None and not as_json:
        limit = _SHOWN
    with connection.store().engine.connect() as db:
        found = staleness(db, settings, step=step, period=period, limit=limit, offset=offset)
        prices = prices_of(db, settings, {name for name, _ in found.totals})
    total = sum(items * prices[name].micro_dollars for (name, _), items in found.totals.items())
    left = sum(found.totals.values()) - offset - len(found.items)
    if as_json:
        print_json(
            {
                "totals": [
                    {"step": name, "reason": reason, "items": items, **price_json(prices[name], items)}
                    for (name, reason), items in found.totals.items()
                ],
                "estimated_micro_dollars": total,
                "items": [
                    {**vars(item), "hour": item.hour.isoformat(), **price_json(prices[item.step])} for item in found.items
                ],
                "left": max(0, left),
            }
        )
        return
    if not found.totals:
        print_line("every result is there, of today's recipe", "green")
        return
    print_table(
        "stale",
        ("step", "reason", "items", "price"),
        [(name, reason, items, price_text(prices[name], items)) for (name, reason), items in found.totals.items()],
    )
    if found.items:
        print_table(
            "items",
            ("step", "reason", "hour", "item", "key"),
            [(i.step, i.reason, f"{i.hour:%Y-%m-%d-%H:%M}", i.item_id, i.key) for i in found.items],
        )
    if left > 0:
        print_line(f"and {left} more: --limit, --offset, or --json for all")


def check_step(step: str | None) -> None:
    if step is not None and step not in STEPS:
        raise CommandError(f"there is no step {step!r}; steps are {', '.join(STEPS)}")


def period_of(hours: str | None, since: str | None) -> Period:
    """The hours that the options mean. Raises CommandError for both at once and for what is no hour."""
    if hours is not None and since is not None:
        raise CommandError("give --hours or --since, not both")
    try:
        if since is not None:
            return Period(first=parse_bound(since).first)
        return EVER if hours is None else parse_period(hours)
    except ValueError as error:
        raise CommandError(f"{'--hours' if since is None else '--since'}: {error}") from None


def prices_of(db: Connection, settings: Settings, steps: Iterable[str]) -> dict[str, Estimate]:
    return {name: estimate_now(db, STEPS[name], settings) for name in STEPS if name in set(steps)}


def price_json(price: Estimate, results: int = 1) -> dict[str, Any]:
    return {"estimated_micro_dollars": price.micro_dollars * results, "estimated_from": price.source}


def price_text(price: Estimate, results: int) -> str:
    """`$0.000120`, or `at most $0.12` where nothing was measured."""
    return f"{'at most ' if price.source == 'at_most' else ''}{money_text(price.micro_dollars * results)}"


def total_text(prices: Mapping[str, Estimate], results: Mapping[str, int]) -> str:
    """The price of all of them together."""
    total = money_text(sum(prices[name].micro_dollars * number for name, number in results.items()))
    return f"at most {total}" if any(prices[name].source == "at_most" for name in results) else f"about {total}"
