"""The texts that a chat model wrote for a job are as many as its segments, and what the segments have over them."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from sqlalchemy import Connection, text

from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.steps.segment_plan import JobOptions, cuts


def mismatched(connection: Connection, scope: Scope) -> Findings:
    """Jobs of the scope whose text was varied, but not once for each planned segment; or that have other texts over them."""
    rows = connection.execute(
        text("""
            SELECT j.job_id, j.item_id, j.options, j.texts, u.duration_ms, u.video,
                   ARRAY(SELECT g.text FROM segments g
                         WHERE g.work_id = j.job_id AND g.version_id = j.version_id ORDER BY ordinal) AS laid_over
            FROM steps s JOIN jobs j ON j.job_id = s.item_id
            JOIN uploads u ON u.item_id = j.item_id AND u.version_id = j.version_id
            WHERE s.step = 'vary' AND s.state = 'done' AND s.item_id = ANY(:ids) ORDER BY j.job_id
        """),
        {"ids": scope.job_ids},
    ).all()
    findings = Findings(checked=len(rows))
    for row in rows:
        cut = JobOptions.model_validate(row.options).cutting_options
        planned = len(cuts(row.duration_ms, row.video["frame_rate"], cut, row.item_id) or ())
        texts = row.texts or []
        if len(texts) != planned:
            findings.problems.append(f"{row.job_id}: {len(texts)} texts for {planned} segments")
        if any(not each.strip() for each in texts):
            findings.problems.append(f"{row.job_id}: a text is blank")
        if strangers := sum(each not in texts for each in row.laid_over):
            findings.problems.append(f"{row.job_id}: {strangers} segments have a text that isn't one of the job's")
    return findings


@asset_check(asset="overlay_texts", description="A job has as many texts as segments, and they are the ones over its segments.")
def texts_match_their_jobs(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "vary")
        return mismatched(connection, scope).result(scope)
