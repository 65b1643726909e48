"""Every probed upload was measured within the limits, or rejected with a code and a sentence."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from sqlalchemy import Connection, text

from lambdas.runtime.contract import Disposition, ErrorCode
from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.settings import Settings

_REJECTING = {code.value for code in ErrorCode if code.disposition is Disposition.REJECT}


def unaccounted(connection: Connection, scope: Scope, settings: Settings) -> Findings:
    """Items of the scope whose probe came to neither a plausible measurement nor a rejection with its reason."""
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.kind, i.width, i.height, i.duration_ms, i.video IS NOT NULL AS has_facts,
                   i.rejection_code, i.rejection_message
            FROM items i JOIN steps s ON s.item_id = i.item_id AND s.step = 'probe' AND s.state IN ('done', 'rejected')
            WHERE i.item_id = ANY(:ids)
        """),
        {"ids": scope.item_ids},
    ).all()
    findings = Findings(checked=len(rows))
    for row in rows:
        max_pixels = settings.max_video_pixels if row.kind == "video" else settings.max_pixels
        if row.rejection_code is not None:
            if row.rejection_code not in _REJECTING or not row.rejection_message:
                findings.problems.append(f"{row.item_id}: rejected as {row.rejection_code!r} without a known reason")
        elif row.kind is None or not (row.width and row.height):
            findings.problems.append(f"{row.item_id}: neither measured nor rejected")
        elif row.width * row.height > max_pixels:
            findings.problems.append(f"{row.item_id}: {row.width}x{row.height} accepted above {max_pixels} pixels")
        elif row.kind == "video" and not (row.has_facts and row.duration_ms):
            findings.problems.append(f"{row.item_id}: a video of which duration or tracks aren't known")
        elif row.kind == "video" and row.duration_ms > settings.max_video_seconds * 1000:
            findings.problems.append(
                f"{row.item_id}: {row.duration_ms} ms accepted above {settings.max_video_seconds:.0f} seconds"
            )
    return findings


@asset_check(asset="media_info", description="Every probed upload is measured, or rejected with a code and a sentence.")
def media_info_is_complete(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "probe")
        return unaccounted(connection, scope, media.settings).result(scope)
