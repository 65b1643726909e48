"""Erasing items: the command and its receipt."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import Progress

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, err, plain, print_json, print_line
from media_assets.cli.uploading import check_user
from media_assets.erasure.eraser import Eraser, Target
from media_assets.erasure.sweep import SweepError
from media_assets.eventlog.erasure import Erasure

_LISTED = 20


def erase(
    items: Annotated[
        list[str] | None, typer.Argument(help="Item ids, S3 keys such as uploads/me/photo.jpg, or s3:// addresses.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Everything that this user has uploaded, instead of single items.")] = None,
    reason: Annotated[str, typer.Option(help="Why. It stays in the log, so name nobody in it.")] = "asked for",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase items for good: content, results, every version in the bucket. Prints a receipt.

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
        targets = eraser.of_user(user)
    receipts, errors = _erase(eraser, targets, reason)
    if as_json:
        print_json(receipts)
    else:
        for receipt in receipts if user is None else []:
            _print_receipt(receipt)
        if user is not None:
            _print_summary(receipts, user)
    for error in errors:
        err.print(plain(error, "yellow"), soft_wrap=True)
    if errors:
        raise typer.Exit(1)


def _confirm(targets: list[Target], user: str | None) -> None:
    if not sys.stdin.isatty():
        raise CommandError("erasing can't be undone: say --yes where nobody can be asked")
    if user is None:
        for target in [target for target in targets if target.address][:_LISTED]:
            err.print(plain(f"  s3://{'/'.join(target.address or ())}"), soft_wrap=True)
    what = f"{len(targets)} items" + (f" and whatever else is in the bucket of user {user}" if user else "")
    typer.confirm(f"Erase {what} for good?", abort=True, err=True)


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
    removed, rows = receipt["removed"], receipt["removed"]["rows"]
    if receipt["erased_before"]:
        print_line(f"item {receipt['item_id']} was erased at {receipt['erased_at']}; nothing is left of it")
    else:
        print_line(f"item {receipt['item_id']} is erased", "green")
        print_line(f"  {removed['payloads']} event payloads, {removed['vectors']} vectors")
        print_line(f"  {sum(rows.values())} rows: {', '.join(f'{model} {number}' for model, number in rows.items() if number)}")
        print_line(
            f"  {removed['object_versions']} versions of the original, {removed['derived_objects']} derived objects,"
            f" {removed['contact_sheets']} contact sheets"
        )
    if not receipt["complete"]:
        print_line(f"  the second sweep is due at {receipt['second_sweep_at']}")


def _print_summary(receipts: list[dict[str, Any]], user: str) -> None:
    def total(name: str) -> int:
        return sum(receipt["removed"][name] for receipt in receipts)

    print_line(f"{len(receipts)} items of user {user} are erased")
    if receipts:
        print_line(
            f"  {total('payloads')} event payloads, {total('vectors')} vectors,"
            f" {total('object_versions')} versions of originals, {total('derived_objects')} derived objects, {total('contact_sheets')} contact sheets"
        )
        print_line(f"  the last second sweep is due at {receipts[-1]['second_sweep_at']}")
