"""Erasing items: the command and its receipt."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import Progress

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, counted, err, plain, print_json, print_line
from media_assets.cli.uploading import check_user
from media_assets.erasure.eraser import Eraser, Target
from media_assets.erasure.sweep import SweepError
from media_assets.eventlog.erasure import Erasure
from media_assets.eventlog.videos import belongings


def erase(
    items: Annotated[
        list[str] | None, typer.Argument(help="Item ids, S3 keys such as uploads/me/photo.jpg, or s3:// addresses.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Everything that this user has uploaded, instead of single items.")] = None,
    reason: Annotated[str, typer.Option(help="Why. It stays in the log, so name nobody in it.")] = "asked for",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase items for good: content, results, every version in the bucket. With a video go its frames and jobs. Prints a
    receipt.

    A second sweep follows by itself, once nothing that was at work can still write. What is uploaded under the key afterwards
    is another item. Exit status 1 if objects couldn't be removed yet; the sweep goes on trying.

    Examples: media-assets erase uploads/me/chelsea.png

              media-assets erase --user ada --reason "request 4711" --yes --json
    """
    if bool(items) == (user is not None):
        raise CommandError("either name items, or give --user for everything of a user")
    eraser = Eraser.connect(connection.settings(), connection.store(), connection.s3())
    if user is not None:
        check_user(user)
        targets = eraser.of_user(user)
    else:
        targets = list(dict.fromkeys(eraser.find(item) for item in items or []))
    if not yes and (user is not None or any(target.address for target in targets)):
        _confirm(targets, user)
    if user is not None:
        eraser.hear_of_user(user)
        targets = [*eraser.of_user(user), *eraser.erased_of_user(user)]
        if not targets:
            raise CommandError(f"no item of user {user!r}, now or erased before")
    receipts, errors = _erase(eraser, targets, reason)
    if as_json:
        print_json(receipts)
    elif user is not None:
        _print_summary(receipts, user)
    else:
        for receipt in receipts:
            _print_receipt(receipt)
    for error in errors:
        err.print(plain(error, "yellow"), soft_wrap=True)
    if errors:
        raise typer.Exit(1)


def _confirm(targets: list[Target], user: str | None) -> None:
    if not sys.stdin.isatty():
        raise CommandError("erasing can't be undone: say --yes where nobody can be asked")
    if user is None:
        for target in targets:
            if target.address is not None:
                err.print(plain(f"  s3://{'/'.join(target.address)}{with_it(target)}"), soft_wrap=True)
    what = (
        "this" if user is None else f"all {len(targets)} items of user {user}, and what else is in that folder of the bucket,"
    )
    typer.confirm(f"Erase {what} for good?", abort=True, err=True)


def with_it(target: Target) -> str:
    """What goes with an item: `, its 4 frames and 1 job too`; nothing for a picture."""
    with connection.store().engine.connect() as db:
        return _went_along(*belongings(db, target.item_id))


def _went_along(frames: int, jobs: int) -> str:
    said = [counted(number, name) for number, name in ((frames, "frame"), (jobs, "job")) if number]
    return f", its {' and '.join(said)} too" if said else ""


def _erase(eraser: Eraser, targets: list[Target], reason: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Receipts, and what went wrong. S3 failing before an item is erased ends it."""
    receipts: list[dict[str, Any]] = []
    errors: list[str] = []
    with Progress(console=err, transient=True) as progress:
        for target in progress.track(targets, description="erasing"):
            try:
                erasure, is_new = eraser.erase(target, reason=reason)
            except (BotoCoreError, ClientError) as error:
                errors.append(f"item {target.item_id} is not erased: {error}")
                break
            try:
                erasure = eraser.sweep(erasure.item_id)
            except SweepError as error:
                errors.append(f"not all is removed yet, the next sweep tries again: {error}")
            receipts.append(_receipt(erasure, is_new))
    return receipts, errors


def _receipt(erasure: Erasure, is_new: bool) -> dict[str, Any]:
    return {**erasure.receipt(), "erased_before": not is_new}


def _print_receipt(receipt: dict[str, Any]) -> None:
    if receipt["erased_before"]:
        left = "nothing is left of it"
        if not receipt["complete"]:
            sweep_at = _moment(receipt["second_sweep_at"])
            left = f"objects that were being written may be left until the second sweep, due at {sweep_at}"
        print_line(f"item {receipt['item_id']} was erased at {_moment(receipt['erased_at'])}; {left}")
    else:
        rows = {model: number for model, number in receipt["removed"]["rows"].items() if number}
        print_line(f"item {receipt['item_id']} is erased{_went_along(receipt['frames'], receipt['jobs'])}", "green")
        print_line(f"  event log     payloads {receipt['removed']['payloads']}")
        print_line(f"  read models   {', '.join(f'{model} {number}' for model, number in rows.items())}")
        print_line(f"  bucket        {_bucket([receipt])}")
        if not receipt["complete"]:
            print_line(f"  second sweep  due at {_moment(receipt['second_sweep_at'])}")


def _print_summary(receipts: list[dict[str, Any]], user: str) -> None:
    new = [receipt for receipt in receipts if not receipt["erased_before"]]
    print_line(f"items of user {user} that are erased: {len(new)}", "green")
    if new:
        print_line(f"  event log     payloads {_total(new, 'payloads')}")
        print_line(f"  read models   rows {sum(sum(receipt['removed']['rows'].values()) for receipt in new)}")
        print_line(f"  bucket        {_bucket(new)}")
    if before := len(receipts) - len(new):
        print_line(f"  before this   {before} {'item was' if before == 1 else 'items were'} erased")
    if due := [receipt["second_sweep_at"] for receipt in receipts if not receipt["complete"]]:
        print_line(f"  second sweep  the last is due at {_moment(max(due))}")


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _bucket(receipts: list[dict[str, Any]]) -> str:
    return (
        f"versions of the original {_total(receipts, 'object_versions')},"
        f" derived objects {_total(receipts, 'derived_objects')}, contact sheets {_total(receipts, 'contact_sheets')}"
    )


def _total(receipts: list[dict[str, Any]], name: str) -> int:
    return sum(receipt["removed"][name] for receipt in receipts)
