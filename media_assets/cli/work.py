"""Commands about work: status, reprocess, replay."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from sqlalchemy import text

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, err, print_json, print_line, print_table
from media_assets.dispatch.breakers import open_breakers
from media_assets.eventlog.items import counts_by_state, resolve
from media_assets.eventlog.replay import verify_replay
from media_assets.steps.catalogue import STEPS, with_dependents
from media_assets.steps.pending import step_counts
from media_assets.steps.reprocess import dead_items, request_reprocessing

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_RUNS_SHOWN = 5


def status(as_json: Json = False) -> None:
    """Show items by state and step, queue depths and the last runs.

    Example: media-assets status --json
    """
    settings = connection.settings()
    with connection.store().engine.connect() as db:
        states = counts_by_state(db)
        steps = {name: vars(counts) for name, counts in step_counts(db).items()}
        breakers = [
            {"target": b.target, "open_until": b.open_until.isoformat(timespec="seconds"), "reason": b.reason}
            for b in open_breakers(db)
        ]
        rejections = db.execute(
            text("SELECT rejection_code, count(*) FROM items WHERE state = 'rejected' GROUP BY 1 ORDER BY 1")
        ).all()
    queues = _queue_depths(connection.sqs(), settings.upload_queue_url)
    runs = _last_runs()
    if as_json:
        print_json(
            {
                "items": states,
                "steps": steps,
                "queues": queues,
                "runs": runs,
                "rejections": dict(row._tuple() for row in rejections),
                "breakers": breakers,
            }
        )
        return
    print_table("items", ("state", "items"), states.items())
    if rejections:
        print_table("rejected", ("reason", "items"), rejections)
    columns = ("pending", "running", "done", "failed", "dead", "rejected")
    print_table("steps", ("step", *columns), [(name, *(counts[c] for c in columns)) for name, counts in steps.items()])
    print_table("queues", ("queue", "waiting", "in flight"), [(n, q["waiting"], q["in_flight"]) for n, q in queues.items()])
    print_table(
        "last runs", ("run", "job", "hour", "status"), [(r["run_id"][:8], r["job"], r["hour"], r["status"]) for r in runs]
    )
    for breaker in breakers:
        print_line(f"{breaker['target']} is paused until {breaker['open_until']}: {breaker['reason']}", "yellow")


def _queue_depths(sqs: SQSClient, queue_url: str) -> dict[str, dict[str, int]]:
    """Depths of the upload queue and of its dead-letter queue, which has the messages that nobody could read or record."""
    uploads = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    depths = {"uploads": _depth(uploads)}
    if "RedrivePolicy" in uploads:
        name = json.loads(uploads["RedrivePolicy"])["deadLetterTargetArn"].rsplit(":", 1)[1]
        dead_letter_url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=["All"])["Attributes"]
        depths["uploads_dead_letters"] = _depth(attributes)
    return depths


def _depth(attributes: Mapping[Any, str]) -> dict[str, int]:
    return {
        "waiting": int(attributes["ApproximateNumberOfMessages"]),
        "in_flight": int(attributes["ApproximateNumberOfMessagesNotVisible"]),
    }


def _last_runs() -> list[dict[str, Any]]:
    """The newest Dagster runs; none where DAGSTER_HOME names no instance."""
    if "DAGSTER_HOME" not in os.environ:
        return []
    from dagster import DagsterInstance  # a second of imports that no other command needs

    with DagsterInstance.get() as instance:
        return [
            {
                "run_id": record.dagster_run.run_id,
                "job": record.dagster_run.job_name,
                "hour": record.dagster_run.tags.get("dagster/partition"),
                "status": record.dagster_run.status.value,
                "started": record.create_timestamp.isoformat(),
            }
            for record in instance.get_run_records(limit=_RUNS_SHOWN)
        ]


def reprocess(
    items: Annotated[list[str] | None, typer.Argument(help="Item ids or S3 keys.")] = None,
    step: Annotated[str | None, typer.Option(help=f"From which step on: {', '.join(STEPS)}. Default: the first.")] = None,
    only: Annotated[bool, typer.Option("--only", help="That step alone, and not what is computed from it.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Every item whose step was given up.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for results to be computed anew; the running sensors start the work.

    Examples: media-assets reprocess uploads/me/cat.png --step analyze

              media-assets reprocess --dead
    """
    if step is not None and step not in STEPS:
        raise CommandError(f"there is no step {step!r}; steps are {', '.join(STEPS)}")
    if bool(items) == dead:
        raise CommandError("either name items, or give --dead for every item whose step was given up")
    store = connection.store()
    if dead:
        chosen = dead_items(store, step)
    else:
        with store.engine.connect() as db:
            chosen = {step or next(iter(STEPS)): [resolve(db, item) for item in items or []]}
    requested = sum(_request(store_step, ids, only) for store_step, ids in chosen.items())
    if as_json:
        print_json({"items": sum(map(len, chosen.values())), "requested": requested})
    else:
        print_line(f"{requested} results of {sum(map(len, chosen.values()))} items will be computed anew")


def _request(step: str, item_ids: list[uuid.UUID], only: bool) -> int:
    steps = [step] if only else with_dependents(step)
    return request_reprocessing(connection.store(), item_ids, steps, reason="asked for on the command line")


def replay(
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the live read models; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Fold the whole event log anew, beside the live read models, and compare. Exit status 1 if they differ.

    Example: media-assets replay --verify
    """
    if not verify:
        raise CommandError("say what to do with the replay: media-assets replay --verify")
    settings = connection.settings()
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("replaying", total=None)
        result = verify_replay(
            settings.owner_database_url, lambda done, total: progress.update(task, completed=done, total=total)
        )
    if as_json:
        print_json(vars(result))
    else:
        verdict, style = ("identical", "green") if result.identical else ("different", "red")
        print_line(
            f"{verdict}: {result.events} events, live {result.live_digest[:16]}, replayed {result.replayed_digest[:16]}", style
        )
    if not result.identical:
        raise typer.Exit(1)
