"""How the work stands: the command `status`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import EndpointConnectionError, HTTPClientError
from sqlalchemy import text

from media_assets.cli import connection
from media_assets.cli.costs import budgets_json, print_spent_budgets, print_uncovered, spent_budgets
from media_assets.cli.output import Json, out, print_json, print_line, print_table
from media_assets.dispatch.breakers import known_breakers
from media_assets.eventlog.items import counts_by_state
from media_assets.eventlog.jobs import job_counts
from media_assets.eventlog.outbox import held_entries, outbox_lag, relay_is_at_work
from media_assets.local.budgets import Budgets
from media_assets.steps.pending import step_counts

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_RUNS_SHOWN = 5
_HELD_SHOWN = 5


def status(as_json: Json = False) -> None:
    """Show items, frames and jobs by state, steps, queue depths, what is still to be published, last runs, failing targets.

    Example: media-assets status --json
    """
    settings = connection.settings(whole=False)
    with connection.store().engine.connect() as db:
        states, frames, jobs = counts_by_state(db), counts_by_state(db, frames=True), job_counts(db)
        steps = {name: vars(counts) for name, counts in step_counts(db).items()}
        breakers = known_breakers(db)
        lag, held = outbox_lag(db), held_entries(db, _HELD_SHOWN)
        outbox = {
            "lag_events": lag.events,
            "lag_seconds": round(lag.seconds, 1),
            "held": lag.held,
            "relay_is_at_work": relay_is_at_work(db),
        }
        spent = spent_budgets(db, settings)
        rejections = db.execute(
            text("SELECT rejection_code, count(*) FROM items WHERE state = 'rejected' GROUP BY 1 ORDER BY 1")
        ).all()
    queues = _queue_depths(connection.sqs(), settings.upload_queue_url)
    runs = _last_runs()
    if as_json:
        print_json(
            {
                "items": states,
                "frames": frames,
                "jobs": jobs,
                "steps": steps,
                "queues": queues,
                "runs": runs,
                "rejections": dict(row._tuple() for row in rejections),
                "breakers": [
                    {**vars(breaker), "open_until": breaker.open_until.isoformat(timespec="seconds")} for breaker in breakers
                ],
                "budgets": budgets_json(settings),
                "spent_budgets": spent,
                "outbox": outbox,
            }
        )
        return
    print_table("items", ("state", "items"), states.items())
    if frames:
        print_table("frames of videos", ("state", "frames"), frames.items())
    if jobs:
        print_table("jobs", ("state", "jobs"), jobs.items())
    if rejections:
        print_table("rejected", ("reason", "items"), rejections)
    columns = ("pending", "running", "done", "failed", "dead", "rejected")
    print_table("steps", ("step", *columns), [(name, *(counts[c] for c in columns)) for name, counts in steps.items()])
    if queues is None:
        print_line("queues can't be asked: SQS doesn't answer", "yellow")
    else:
        depths = [(name, depth["waiting"], depth["in_flight"]) for name, depth in queues.items()]
        print_table("queues", ("queue", "waiting", "in flight"), depths)
    print_table(
        "outbox",
        ("to publish", "for seconds", "held", "relay"),
        [(lag.events, f"{lag.seconds:.0f}", lag.held, "at work" if outbox["relay_is_at_work"] else "not at work")],
    )
    print_table(
        "last runs", ("run", "job", "hour", "status"), [(r["run_id"][:8], r["job"], r["hour"], r["status"]) for r in runs]
    )
    for breaker in breakers:
        print_line(breaker.text(), "yellow")
    if budgets := Budgets.of(settings).text():
        print_line(f"daily budget: {budgets}")
    if not spent:
        print_uncovered(settings, out)
    print_spent_budgets(spent, sum(counts["over_budget"] for counts in steps.values()))
    for each in held:
        said = f"position {each.position} holds back {each.stream_id}, refused {each.attempts} times: {each.error}"
        print_line(said, "yellow")


def _queue_depths(sqs: SQSClient, queue_url: str) -> dict[str, dict[str, int]] | None:
    """Depths of the upload queue and of its dead-letter queue, which has the messages that nobody could read or record. None
    if nobody answers."""
    try:
        uploads = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    except (EndpointConnectionError, HTTPClientError):
        return None
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
