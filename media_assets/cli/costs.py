"""What was spent: the command `costs`, and the lines of `status` about budgets that are spent."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy import Connection

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, counted, err, money_text, plain, print_json, print_line, print_table
from media_assets.eventlog.costs import Cost, costs_by
from media_assets.settings import Settings
from media_assets.steps.budgets import BUDGETED, owed, stops
from media_assets.steps.catalogue import STEPS


class By(StrEnum):
    """What costs can be told by."""

    STEP = "step"
    USER = "user"
    DAY = "day"


def costs(
    by: Annotated[By, typer.Option(help="A line for each of these.")] = By.STEP,
    since: Annotated[str | None, typer.Option(help="The first day (UTC), like 2026-07-01.")] = None,
    until: Annotated[str | None, typer.Option(help="The last day, included.")] = None,
    as_json: Json = False,
) -> None:
    """Show what processing cost, at the price table in the settings.

    Example: media-assets costs --by user --since 2026-07-01
    """
    first, last = _day(since, "--since"), _day(until, "--until")
    if first and last and first > last:
        raise CommandError(f"--since {first} is after --until {last}")
    if first and first > datetime.now(UTC).date():
        err.print(f"--since {first} is in the future: nothing is known of it yet")
    with connection.store().engine.connect() as db:
        found, total = costs_by(db, by.value, since=first, until=last)
        outstanding = owed(db)
    if as_json:
        print_json(
            {
                "by": by.value,
                "since": first,
                "until": last,
                "costs": [{by.value: cost.key, **_figures(cost)} for cost in found],
                "total": _figures(total),
                "owed_micro_dollars": outstanding,
            }
        )
        return
    columns = (by.value, "outcomes", "failures", "GB-seconds", "tokens in", "tokens out", "cost")
    print_table("costs", columns, map(_row, [*found, total]))
    if outstanding:
        print_line(f"and {money_text(outstanding)} for attempts without an outcome, which the next ones will pay")


def spent_budgets(db: Connection, settings: Settings) -> list[dict[str, Any]]:
    """For `status`: users whose work on models waits for money, and what the next piece of it may cost."""
    return [
        {
            "user_id": stop.user_id,
            "day": stop.day,
            "limit_micro_dollars": stop.limit_micro_dollars,
            "spent_micro_dollars": stop.spent_micro_dollars,
            "step": stop.step,
            "may_cost_micro_dollars": STEPS[stop.step].most_micro_dollars(settings),
            "stopped_at": stop.stopped_at.isoformat(timespec="seconds"),
        }
        for stop in stops(db)
    ]


def print_spent_budgets(spent: list[dict[str, Any]], waiting: int) -> None:
    for stop in spent:
        limit, price = stop["limit_micro_dollars"], stop["may_cost_micro_dollars"]
        if limit < price:
            print_line(_not_covered(f"{money_text(limit)} for {stop['user_id']}", stop["step"], price), "yellow")
            continue
        print_line(
            f"{stop['user_id']} has spent {money_text(stop['spent_micro_dollars'])} of the"
            f" {money_text(limit)} for {stop['day']}; another {stop['step']} may cost {money_text(price)}",
            "yellow",
        )
    if spent:
        who = f"{counted(waiting, 'item')} {'waits' if waiting == 1 else 'wait'}"
        print_line(f"{who} for money ({', '.join(BUDGETED)}), until the day or the budget allows more", "yellow")


def budgets_json(settings: Settings) -> dict[str, Any]:
    """What may be spent in a day, in micro-dollars; null: as much as it takes."""
    return {
        "each_user_micro_dollars": _micro_dollars(settings.daily_budget_dollars),
        "users": {user: _micro_dollars(dollars) for user, dollars in settings.user_daily_budgets_dollars.items()},
    }


def print_uncovered(settings: Settings, console: Console) -> None:
    """A line for each budget with which a step never begins, because one attempt may cost more."""
    default = {"each user": settings.daily_budget_dollars}
    for whose, dollars in {**default, **settings.user_daily_budgets_dollars}.items():
        for step in BUDGETED:
            price = STEPS[step].most_micro_dollars(settings)
            limit = _micro_dollars(dollars)
            if limit is not None and limit < price:
                said = _not_covered(f"{money_text(limit)} for {whose}", step, price)
                console.print(plain(said, "yellow"), soft_wrap=True)


def _not_covered(budget: str, step: str, price: int) -> str:
    return f"a daily budget of {budget} can't cover a single {step}, which may cost {money_text(price)}: none begins"


def _micro_dollars(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * 1_000_000)


def _day(value: str | None, option: str) -> date | None:
    try:
        if value is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            raise ValueError(value)
        return None if value is None else date.fromisoformat(value)
    except ValueError:
        raise CommandError(f"{option} {value!r} is no day; write it like 2026-07-01") from None


def _figures(cost: Cost) -> dict[str, Any]:
    return {name: value for name, value in asdict(cost).items() if name != "key"}


def _row(cost: Cost) -> tuple[object, ...]:
    return (
        cost.key,
        cost.outcomes,
        cost.failures,
        f"{cost.gigabyte_seconds:.1f}",
        cost.tokens_in,
        cost.tokens_out,
        money_text(cost.micro_dollars),
    )
