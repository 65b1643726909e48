"""Asking for results anew: the command `reprocess`, for named items or for all that are stale, dead, or there at all."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.progress import Progress

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, counted, err, print_json, print_line, print_table
from media_assets.cli.stale import Hours, Since, check_step, period_of, price_json, price_text, prices_of, total_text
from media_assets.eventlog.items import resolve
from media_assets.steps.catalogue import STEPS, with_dependents
from media_assets.steps.reprocess import request_reprocessing, would_request
from media_assets.steps.staleness import Choice, chosen

_WITHOUT_ASKING = 100
"""Results that are asked for without a question."""

Chosen = dict[tuple[str, ...], list[uuid.UUID]]


def reprocess(
    items: Annotated[list[str] | None, typer.Argument(help="Item ids or S3 keys.")] = None,
    stale: Annotated[bool, typer.Option("--stale", help="Every item whose result is of an older recipe.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Every item whose step was given up.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every item that has a result or was given up.")] = False,
    step: Annotated[
        str | None, typer.Option(help=f"From which step on: {', '.join(STEPS)}. Default: the first, or those chosen.")
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="That step alone, and not what is computed from it.")] = False,
    hours: Hours = None,
    since: Since = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for and what it may cost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for results to be computed anew; the running sensors start the work. What is under way isn't asked for again.

    Above 100 results it asks first.

    Examples: media-assets reprocess uploads/me/cat.png --step analyze

              media-assets reprocess --stale --step analyze --hours 2026-11-21 --dry-run
    """
    check_step(step)
    if sum((bool(items), stale, dead, everything)) != 1:
        raise CommandError("name items, or give one of --stale, --dead and --all")
    if items and (hours or since):
        raise CommandError("--hours and --since go with --stale, --dead or --all, not with named items")
    period = period_of(hours, since)
    settings, store = connection.settings(), connection.store()
    before = None if items else datetime.now(UTC)
    with store.engine.connect() as db:
        if items:
            first = step or next(iter(STEPS))
            named = dict.fromkeys(resolve(db, item, settings.bucket_name) for item in items)
            wanted: Chosen = {(first,) if only else tuple(with_dependents(first)): list(named)}
        else:
            choice: Choice = "stale" if stale else "dead" if dead else "all"
            wanted = chosen(db, settings, choice, step=step, period=period, before=before, only=only)
        results: Counter[str] = Counter()
        for steps, item_ids in wanted.items():
            results += would_request(db, item_ids, steps)
        prices = prices_of(db, settings, results)
    number = sum(map(len, wanted.values()))
    if not dry_run and not yes and results.total() > _WITHOUT_ASKING:
        _confirm(f"{_chosen_text(results.total(), number)}, {total_text(prices, results)}")
    requested = 0 if dry_run else _request(wanted, before)
    if as_json:
        print_json(
            {
                "items": number,
                "requested": requested,
                "dry_run": dry_run,
                "steps": {name: {"results": results[name], **price_json(prices[name], results[name])} for name in prices},
                "estimated_micro_dollars": sum(prices[name].micro_dollars * results[name] for name in prices),
            }
        )
    elif not dry_run:
        print_line(f"{_chosen_text(requested, number)} will be computed anew")
    elif results:
        rows = [(name, results[name], price_text(prices[name], results[name])) for name in prices]
        print_table("would be computed anew", ("step", "results", "price"), rows)
        print_line(f"{_chosen_text(results.total(), number)}, {total_text(prices, results)}; nothing was asked for")
    else:
        print_line("nothing would be computed anew")


def _chosen_text(results: int, items: int) -> str:
    return f"{counted(results, 'result')} of {counted(items, 'item')}"


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError(f"this computes {what}: say --yes where nobody can be asked, or --dry-run")
    typer.confirm(f"Compute {what}?", abort=True, err=True)


def _request(wanted: Chosen, before: datetime | None) -> int:
    requested = 0
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("asking", total=sum(map(len, wanted.values())))
        for steps, item_ids in wanted.items():
            requested += request_reprocessing(
                connection.store(),
                item_ids,
                steps,
                reason="asked for on the command line",
                before=before,
                on_progress=lambda items: progress.advance(task, items),
            )
    return requested
