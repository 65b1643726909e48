"""Jobs: a pipeline a kind of media, so that a slow kind never holds up a quick one; and the daily checks."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

from media_assets.steps.catalogue import IMAGE_PIPELINE

PIPELINE_TAG = "media/pipeline"
HOUR_TAG = "media/hour"

image_pipeline = define_asset_job(
    "image_pipeline",
    selection=AssetSelection.assets(*(step.asset for step in IMAGE_PIPELINE)),
    tags={PIPELINE_TAG: "image"},
    description="Everything that is due for the photos of an hour: probe, thumbnails, analyses, embeddings, and their checks.",
)
