"""The log reaches EventBridge in time. Scheduled, not in every run."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, MetadataValue, asset_check

from media_assets.defs.resource import MediaResource
from media_assets.eventlog.outbox import held_entries, outbox_lag, relay_is_at_work

LATE_SECONDS = 300
"""As the alarm on the metric of the same: infra/stacks/alarms.py."""
_SHOWN = 20


@asset_check(asset="event_log", description="No event waits for more than 5 minutes to be published, held ones included.")
def outbox_keeps_up(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        lag, held = outbox_lag(connection), held_entries(connection, _SHOWN)
        at_work = relay_is_at_work(connection)
    found = "\n".join(f"- {e.stream_id}, position {e.position}, refused {e.attempts} times: {e.error}" for e in held)
    return AssetCheckResult(
        passed=lag.seconds <= LATE_SECONDS,
        severity=AssetCheckSeverity.WARN,
        metadata={
            "lag_events": lag.events,
            "lag_seconds": lag.seconds,
            "held": lag.held,
            "relay_is_at_work": at_work,
            **({"found": MetadataValue.md(found)} if found else {}),
        },
    )
