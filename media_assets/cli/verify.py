"""Commands that prove the event log and what is folded from it, and mend the latter: verify, replay, rebuild."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import psycopg.errors
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task
from rich.text import Text
from sqlalchemy.exc import ProgrammingError

from media_assets.anchors.bucket import AnchorBucket
from media_assets.anchors.proof import Proof, prove, write_anchor
from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, err, print_json, print_line
from media_assets.eventlog.rebuild import rebuild as rebuild_read_models
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.verify import Broken, NoSuchPositionError, Verified

_NOT_AS_MIGRATED = (
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DatatypeMismatch,
)


def verify(
    since: Annotated[int, typer.Option(min=0, help="Trust the log up to this position and look at what follows.")] = 0,
    anchor: Annotated[bool, typer.Option("--anchor", help="If it is intact, write down the hash of its head.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that the event log is what was appended to it: its hash chain, its payloads, its anchors.

    If it isn't, or if somebody tampered with anchors: exit status 1 and a sentence that names the first event where it breaks.

    Examples: media-assets verify

              media-assets verify --since 120000 --json
    """
    settings = connection.settings()
    bucket = AnchorBucket(connection.s3(), settings.anchor_bucket) if anchor or settings.anchor_bucket_name else None
    engine = connection.store().engine
    began = time.monotonic()
    try:
        with _as_migrated(), _counting_events("verifying") as on_progress:
            proof = prove(engine, bucket, since, on_progress)
    except NoSuchPositionError as error:
        raise CommandError(str(error)) from error
    seconds = time.monotonic() - began
    written = None
    if anchor and bucket and not isinstance(proof.chain, Broken):
        written = write_anchor(engine, bucket, proof, settings.stage, datetime.now(UTC))
    if as_json:
        print_json(_described(proof, bucket is not None, seconds) | {"anchored": written and written.position})
    else:
        _print_proof(proof, seconds)
        if bucket is None:
            print_line(
                "there are no anchors to compare with, since MEDIA_ANCHOR_BUCKET is not set: a log that was cut, or whose"
                " hashes were computed anew, looks like this too",
                "yellow",
            )
        if anchor and isinstance(proof.chain, Verified):
            print_line(_anchored(proof.chain.head, is_new=written is not None))
    if not proof.is_intact:
        raise typer.Exit(1)


def replay(
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the live read models; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fold the whole event log anew, beside the live read models, and compare. Exit status 1 if they differ.

    Example: media-assets replay --verify
    """
    if not verify:
        raise CommandError("say what to do with the replay: media-assets replay --verify; media-assets rebuild replaces them")
    owner_url = connection.settings().owner_database_url
    began = time.monotonic()
    with _as_migrated(), _counting_events("replaying") as on_progress:
        result = verify_replay(owner_url, on_progress)
    rate = _rate(result.events, time.monotonic() - began)
    if as_json:
        print_json({"identical": result.identical, **asdict(result), "events_per_second": rate})
    else:
        verdict, style = ("identical", "green") if result.identical else ("different", "red")
        print_line(
            f"{verdict}: {result.events} events ({rate}/s), live {result.live_digest[:16]},"
            f" replayed {result.replayed_digest[:16]}",
            style,
        )
        for differing in result.differing:
            print_line(f"  {differing}", style)
    if not result.identical:
        err.print("media-assets rebuild folds the read models anew and so mends them", soft_wrap=True)
        raise typer.Exit(1)


def rebuild(as_json: Json = False) -> None:
    """Fold the whole event log into new read models and put them in the place of the live ones, while work goes on.

    Example: media-assets rebuild && media-assets replay --verify
    """
    owner_url = connection.settings().owner_database_url
    began = time.monotonic()
    with _as_migrated(), _counting_events("rebuilding") as on_progress:
        rebuilt = rebuild_read_models(owner_url, on_progress)
    seconds = round(time.monotonic() - began, 3)
    rate = _rate(rebuilt.events, seconds)
    waited = round(rebuilt.appends_waited_seconds, 3)
    if as_json:
        print_json({"events": rebuilt.events, "seconds": seconds, "events_per_second": rate, "appends_waited_seconds": waited})
    else:
        print_line(
            f"rebuilt from {rebuilt.events} events in {seconds:.1f} s ({rate}/s); appends waited {waited:.3f} s", "green"
        )


def _described(proof: Proof, has_bucket: bool, seconds: float) -> dict[str, Any]:
    broken = proof.chain if isinstance(proof.chain, Broken) else None
    chain = None if isinstance(proof.chain, Broken) else proof.chain
    return {
        "intact": proof.is_intact,
        "events": chain and chain.events,
        "head": chain and chain.head,
        "hash": chain and chain.hash.hex(),
        "anchors": chain.anchors if chain and has_bucket else None,
        "events_per_second": chain and _rate(chain.events, seconds),
        "broken": broken and vars(broken),
        "evidence": list(proof.evidence),
    }


def _print_proof(proof: Proof, seconds: float) -> None:
    chain = proof.chain
    if isinstance(chain, Broken):
        print_line(str(chain), "red")
    else:
        agree = "anchor agrees" if chain.anchors == 1 else "anchors agree"
        print_line(
            f"{'intact' if proof.is_intact else 'the chain is intact'}: {chain.events} events up to position {chain.head}"
            f" ({_rate(chain.events, seconds)}/s), {chain.anchors} {agree}; hash {chain.hash.hex()}",
            "green" if proof.is_intact else "",
        )
    for sentence in proof.evidence:
        print_line(sentence, "red")


def _anchored(head: int, *, is_new: bool) -> str:
    if head == 0:
        return "there is nothing to anchor yet"
    return f"anchored position {head}" if is_new else f"position {head} is anchored already"


def _rate(events: int, seconds: float) -> int:
    return round(events / seconds)


@contextmanager
def _as_migrated() -> Iterator[None]:
    """Raises CommandError for tables, columns and functions that aren't what migrations make."""
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(error.orig, _NOT_AS_MIGRATED):
            raise
        found = str(error.orig).partition("\n")[0]
        raise CommandError(f"the database isn't what this version's migrations make of it: {found}") from error


@contextmanager
def _counting_events(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with a rate on standard error, for as long as it takes."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), _Rate())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} events/s" if task.speed else "")
