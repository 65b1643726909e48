"""Nothing dead, or waiting beyond its backoff: one check a step."""

from datetime import UTC, datetime, timedelta

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, asset_check
from sqlalchemy import Connection, text

from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.steps.budgets import BUDGETED
from media_assets.steps.catalogue import STEPS

_GRACE = timedelta(minutes=10)
"""How long due work may wait for a run before that is a problem."""


def stuck(connection: Connection, scope: Scope, step: str, now: datetime) -> Findings:
    """Items and jobs of the scope whose step is dead, or has been due for longer than the grace without anybody working on it.

    What waits because its user's budget is spent is not stuck, and due again from the moment on that there is money.
    """
    rows = connection.execute(
        text("""
            SELECT s.item_id, s.state, s.error_code, s.failures, greatest(s.retry_at, e.recorded_at, m.recorded_at) AS due_at,
                   o.user_id IS NOT NULL AS waits_for_money
            FROM steps s
            LEFT JOIN LATERAL (
                -- When we last heard of the item, and not when it was uploaded: an import brings objects that are years old.
                SELECT max(recorded_at) AS recorded_at FROM events
                WHERE stream_id IN ('item-' || s.item_id, 'job-' || s.item_id)
            ) e ON s.state = 'pending'
            LEFT JOIN LATERAL (
                SELECT max(recorded_at) AS recorded_at FROM events
                WHERE stream_id = 'account-' || s.user_id AND type = 'SpendingResumed'
            ) m ON s.state = 'pending' AND s.step = ANY(:budgeted)
            LEFT JOIN claims c ON c.item_id = s.item_id AND c.step = s.step AND c.lease_expires_at > now()
            LEFT JOIN spending_stops o ON o.user_id = s.user_id AND s.step = ANY(:budgeted)
            WHERE s.item_id = ANY(:ids) AND s.step = :step AND c.item_id IS NULL
        """),
        {"ids": scope.work_ids, "step": step, "budgeted": list(BUDGETED)},
    ).all()
    findings = Findings(checked=len(rows))
    for row in rows:
        if row.state == "dead":
            findings.problems.append(f"{row.item_id}: dead after {row.failures} failures ({row.error_code})")
        elif row.state == "pending" and not row.waits_for_money and row.due_at < now - _GRACE:
            findings.problems.append(f"{row.item_id}: due since {row.due_at:%Y-%m-%d %H:%M} UTC and not started")
    return findings


def _progress_check(step: str, asset: str) -> AssetChecksDefinition:
    @asset_check(
        asset=asset,
        name=f"{asset}_nothing_stuck",
        description=f"No item's {step} is dead, or waiting beyond its backoff.",
    )
    def _check(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
        with media.store.engine.connect() as connection:
            scope = scope_of(context, connection, step)
            findings = stuck(connection, scope, step, datetime.now(UTC))
        return findings.result(scope, AssetCheckSeverity.WARN)

    return _check


progress_checks = [_progress_check(step.name, step.asset) for step in STEPS.values()]
