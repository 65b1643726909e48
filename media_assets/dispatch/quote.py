"""What a job would cost and where it would run, for people to know before they submit it."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.runtime.video.mode import Mode
from media_assets.dispatch.routing import Route, route_large
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.jobs import Video
from media_assets.steps.segment import likely_mode, likely_seconds, why_task
from media_assets.steps.segment_cost import estimated_micro_dollars
from media_assets.steps.segment_plan import JobOptions, SegmentPlan


@dataclass(frozen=True)
class Quote:
    """`micro_dollars` include what a chat model may take at most for varied texts. `encodes` is whether pictures are."""

    route: Route
    encodes: bool
    seconds: float
    micro_dollars: int


def quote(settings: Settings, video: Video, options: JobOptions, plan: SegmentPlan) -> Quote:
    """By the price table in the settings, while every target answers."""
    step, info = STEPS["segment"], video.info.model_dump()
    mode = likely_mode(info, video.format, options)
    seconds = likely_seconds(info, mode, (video.width, video.height), video.size_bytes, options, settings)
    texts = plan.texts or (options.text_input.base_text or "",) if options.text_input else ()
    reason = why_task(texts)
    route = Route("ecs", reason) if reason else route_large(step, video.size_bytes, seconds, settings)
    price = estimated_micro_dollars(settings, step, route.target, seconds)
    if plan.varied:
        price += STEPS["vary"].most_micro_dollars(settings)
    return Quote(route, mode is Mode.ENCODED, seconds, price)
