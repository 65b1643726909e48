"""Detections are what a detector may say: boxes in the picture, confidences in range and in order, the recipe's model."""

import math

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from sqlalchemy import Connection, text

from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS


def implausible(connection: Connection, scope: Scope, settings: Settings) -> Findings:
    """Problems of the scope's items whose objects were looked for. Today's model and least confidence are asked of results of
    today's recipe only; older ones were made by others."""
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.width, i.height, d.*
            FROM items i JOIN steps s ON s.item_id = i.item_id AND s.step = 'detect' AND s.state = 'done'
            LEFT JOIN LATERAL (
                SELECT array_agg(recipe) AS recipes, array_agg(model) AS models, array_agg(ordinal) AS ordinals,
                       array_agg(label) AS labels, array_agg(confidence) AS confidences,
                       array_agg(ARRAY[x, y, d.width, d.height]) AS boxes
                FROM (SELECT * FROM detections
                      WHERE item_id = i.item_id AND version_id = i.version_id ORDER BY ordinal) d
            ) d ON true
            WHERE i.item_id = ANY(:ids) ORDER BY i.item_id
        """),
        {"ids": scope.item_ids},
    ).all()
    findings = Findings(checked=len(rows))
    recipe = STEPS["detect"].recipe(settings).digest
    for row in rows:
        if row.boxes is None:
            continue  # nothing was found, which is a result
        problems = []
        if len(set(zip(row.models, row.recipes, strict=True))) != 1 or not row.models[0]:
            problems.append("detections of several models, or of none")
        elif row.recipes[0] == recipe and row.models[0] != settings.detect_model:
            problems.append(f"made by {row.models[0]}, the recipe says {settings.detect_model}")
        if row.ordinals != list(range(1, len(row.ordinals) + 1)):
            problems.append(f"numbered {row.ordinals}")
        if row.confidences != sorted(row.confidences, reverse=True):
            problems.append("not in the order of confidence")
        least = settings.detect_min_confidence if row.recipes[0] == recipe else math.ulp(0)
        for number, (label, confidence, box) in enumerate(zip(row.labels, row.confidences, row.boxes, strict=True), start=1):
            if not label:
                problems.append(f"detection {number} has no label")
            if not least <= confidence <= 1:
                problems.append(f"the confidence of detection {number} is {confidence:.3f}, not between {least:.3f} and 1")
            x, y, width, height = box
            if width < 1 or height < 1:
                problems.append(f"the box of detection {number} is {width}x{height}")
            elif x < 0 or y < 0 or x + width > row.width or y + height > row.height:
                problems.append(f"the box of detection {number} leaves the {row.width}x{row.height} picture")
        findings.problems += [f"{row.item_id}: {problem}" for problem in problems]
    return findings


@asset_check(
    asset="detections",
    description="Boxes lie in the picture they are about; confidences are in range and in order; the model is the recipe's.",
)
def detections_are_sound(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "detect")
        return implausible(connection, scope, media.settings).result(scope)
