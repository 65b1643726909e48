"""Jobs: a pipeline a kind of media, so that a slow kind never holds up a quick one; and the daily checks."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

from media_assets.steps.catalogue import IMAGE_PIPELINE

TAGS = "media-assets/"
"""Prefix of our tags on runs. Their values are ids and counts, never keys."""
PIPELINE_TAG = f"{TAGS}pipeline"
HOUR_TAG = f"{TAGS}hour"
"""dagster.yaml limits runs by it."""

image_pipeline = define_asset_job(
    "image_pipeline",
    selection=AssetSelection.assets(*(step.asset for step in IMAGE_PIPELINE)),
    tags={PIPELINE_TAG: "image"},
    description="Everything that is due for the photos of an hour: probe, thumbnails, analyses, embeddings, and their checks.",
)
