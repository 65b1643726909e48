"""Analyses match their schema, and their boxes lie in the picture they are about."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from pydantic import ValidationError
from sqlalchemy import Connection, text

from lambdas.analyze.schema import Analysis
from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource


def malformed(connection: Connection, scope: Scope) -> Findings:
    """Analyses of the scope that don't match the schema, have a box outside the picture, or don't say who made them."""
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.width, i.height, a.provider, a.model,
                   jsonb_build_object('category', a.category, 'summary', a.summary, 'tags', a.tags, 'objects', a.objects,
                                      'text', a.text, 'dominant_colours', a.dominant_colours) AS analysis
            FROM items i JOIN analyses a USING (item_id, version_id) WHERE i.item_id = ANY(:ids)
        """),
        {"ids": scope.item_ids},
    ).all()
    findings = Findings(checked=len(rows))
    for row in rows:
        if not (row.provider and row.model):
            findings.problems.append(f"{row.item_id}: provider or model isn't recorded")
        try:
            analysis = Analysis.model_validate(row.analysis)
        except ValidationError as error:
            where = ", ".join(".".join(map(str, e["loc"])) for e in error.errors(include_input=False)[:3])
            findings.problems.append(f"{row.item_id}: the analysis doesn't match the schema at {where}")
            continue
        for number, detected in enumerate(analysis.objects):
            box = detected.bounding_box
            if box and (box.x + box.width > row.width + 1 or box.y + box.height > row.height + 1):
                findings.problems.append(
                    f"{row.item_id}: the box of object {number} leaves the {row.width}x{row.height} picture"
                )
    return findings


@asset_check(asset="analyses", description="Analyses match their schema, and boxes lie in the picture they are about.")
def analyses_match_schema(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "analyze")
        return malformed(connection, scope).result(scope)
