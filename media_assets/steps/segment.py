"""segment: a video cut into pieces that browsers play, as configured or as a job asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from lambdas.runtime.contract import ItemOutcome
from lambdas.runtime.overlay_text import needs_shaping
from lambdas.runtime.video.mode import Mode, cheapest_mode
from media_assets.eventlog.catalogue import Segment, VideoSegmented
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.job_events import job_completed
from media_assets.settings import Settings
from media_assets.steps.segment_cost import estimated_seconds
from media_assets.steps.segment_plan import JobOptions, cuts
from media_assets.steps.step import Recipe, Step, TaskSize, Work
from media_assets.steps.video import video_facts, video_limits


class SegmentVideo(Step):
    name = "segment"
    asset = "video_segments"
    kinds = ("video",)
    upstream = "probe"
    also_after = ("vary",)
    version = 1
    memory_mb = 3008
    timeout_seconds = 900
    targets = ("ecs", "lambda")
    task = TaskSize(vcpus=Decimal(2), memory_mb=4096, timeout_seconds=3 * 3600)
    description = "Videos in pieces that browsers play: each as configured, and once more for each job that asked for it."

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return self._parameters(settings, JobOptions(cutting_options=settings.segment_cut, exact=settings.segment_exact))

    def limits(self, settings: Settings) -> dict[str, Any]:
        return video_limits(settings)

    def recipe_of(self, work: Work, settings: Settings) -> Recipe:
        return Recipe(self.name, self.version, self._parameters(settings, options_of(work, settings)))

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        return {work.item_id: video_facts(work) | self._plan(work, settings) for work in works}

    def seconds(self, work: Work, settings: Settings) -> float:
        video, options, size = work.video or {}, options_of(work, settings), (work.width, work.height)
        return likely_seconds(video, likely_mode(video, work.format, options), size, work.size_bytes, options, settings)

    def needs_task(self, work: Work) -> str | None:
        return None if work.job is None else why_task(_texts(work, JobOptions.stored(work.job.options)) or ())

    def payload(self, work: Work, outcome: ItemOutcome) -> VideoSegmented:
        result = outcome.result or {}
        return VideoSegmented(
            version_id=work.version_id,
            mode=result["mode"],
            duration_ms=result["duration_ms"],
            segments=tuple(Segment.model_validate(segment) for segment in result["segments"]),
        )

    def consequences(self, work: Work, outcome: ItemOutcome, result: NewEvent) -> list[NewEvent]:
        """The end of the job, if it is one's."""
        assert isinstance(result.payload, VideoSegmented)
        if work.job is None:
            return []
        segments = len(result.payload.segments)
        ended, cause = result.occurred_at, result.event_id
        return [job_completed(work.job_ref, segments=segments, occurred_at=ended, causation_id=cause, run_id=result.run_id)]

    def _parameters(self, settings: Settings, options: JobOptions) -> dict[str, Any]:
        asked = options.model_dump(mode="json")
        return {
            "cut": asked["cutting_options"],
            "exact": asked["exact"],
            "text": asked["text_input"],
            "crf": settings.segment_crf,
            "preset": settings.segment_preset,
        }

    def _plan(self, work: Work, settings: Settings) -> dict[str, Any]:
        """Where to cut (None: at scenes) and what to write (None: nothing)."""
        video, options = work.video or {}, options_of(work, settings)
        video_id = work.job.item_id if work.job else work.item_id
        bounds = cuts(video["duration_ms"], video["frame_rate"], options.cutting_options, video_id)
        cuts_ms = None if bounds is None else [list(each) for each in bounds]
        return {"cuts_ms": cuts_ms, "texts": _texts(work, options)}


def _texts(work: Work, options: JobOptions) -> list[str] | None:
    """What is written on the segments: one text on all of them, or one a segment; None: nothing."""
    text = options.text_input
    if text is None:
        return None
    if text.base_text is not None and text.strategy == "one_for_all":
        return [text.base_text]
    return list(text.unique_texts or (work.job.texts if work.job and work.job.texts else ()))


def likely_mode(video: Mapping[str, Any], format: str, options: JobOptions) -> Mode:
    """What is encoded anew unless a copy turns out to be none for browsers. `video` is what the probe learned
    (catalogue.VideoInfo), `format` the container that it found."""
    sound = video["audio"][0]["codec"] if video["audio"] else None
    has_text = options.text_input is not None
    return cheapest_mode(format, video["codec"], video["bit_depth"], sound, exact=options.exact, has_text=has_text)


def likely_seconds(
    video: Mapping[str, Any], mode: Mode, size: tuple[int, int], size_bytes: int, options: JobOptions, settings: Settings
) -> float:
    """How long cutting a video so is likely to take: what it is routed by, and what a dry run says. `size` is as shown."""
    return estimated_seconds(
        video["duration_ms"],
        *size,
        video["frame_rate"],
        size_bytes=size_bytes,
        mode=mode,
        finds_scenes=options.cutting_options.type == "scenes",
        preset=settings.segment_preset,
    )


def why_task(texts: Iterable[str]) -> str | None:
    """Texts from right to left, and loose marks, are set by a library that is in the tasks' image alone."""
    return "shaped_text" if any(map(needs_shaping, texts)) else None


def options_of(work: Work, settings: Settings) -> JobOptions:
    """What its job asks for, or what is configured."""
    if work.job is not None:
        return JobOptions.stored(work.job.options)
    return JobOptions(cutting_options=settings.segment_cut, exact=settings.segment_exact)
