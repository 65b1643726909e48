"""Jobs: one a pipeline, so that a slow kind of work never holds up a quick one; and the tags that tell their runs apart."""

from __future__ import annotations

from collections.abc import Sequence

from dagster import AssetSelection, define_asset_job

from media_assets.defs.checks.targets import target_checks
from media_assets.steps.catalogue import DETECTION_PIPELINE, IMAGE_PIPELINE, TEXT_PIPELINE, VIDEO_PIPELINE
from media_assets.steps.step import Step

TAGS = "media-assets/"
"""Prefix of our tags on runs. Their values are ids, words and counts, never keys."""
PIPELINE_TAG = f"{TAGS}pipeline"
HOUR_TAG = f"{TAGS}hour"
WORK_TAG = f"{TAGS}work"
"""`new`: the run takes no recomputations. Any other takes whatever is due."""
QUEUE_TAG = f"{TAGS}queue"
"""Pipeline, work and hour in one: dagster.yaml lets one run of each work at a time."""


def _work_of(pipeline: Sequence[Step]) -> AssetSelection:
    """Its assets and their checks, without those of targets: a run tells those by its failure, and the sensor does."""
    return AssetSelection.assets(*(step.asset for step in pipeline)) - AssetSelection.checks(*target_checks)


image_pipeline = define_asset_job(
    "image_pipeline",
    selection=_work_of(IMAGE_PIPELINE),
    tags={PIPELINE_TAG: "image"},
    description="What is due of an hour: the probe of every upload; thumbnails, analyses and embeddings of photos and of frames"
    " of videos; and their checks.",
)

detection_pipeline = define_asset_job(
    "detection_pipeline",
    selection=_work_of(DETECTION_PIPELINE),
    tags={PIPELINE_TAG: "detection"},
    description="Objects in the photos and frames of an hour that have thumbnails, and their checks.",
)

text_pipeline = define_asset_job(
    "text_pipeline",
    selection=_work_of(TEXT_PIPELINE),
    tags={PIPELINE_TAG: "text"},
    description="Texts that jobs have varied by a chat model, and their checks. While the model is down, videos are cut.",
)

video_pipeline = define_asset_job(
    "video_pipeline",
    selection=_work_of(VIDEO_PIPELINE),
    tags={PIPELINE_TAG: "video"},
    description="Frames and segments of the videos of an hour, those that jobs asked for too, and their checks.",
)

JOBS = {"image": image_pipeline, "detection": detection_pipeline, "text": text_pipeline, "video": video_pipeline}
"""By pipeline."""
