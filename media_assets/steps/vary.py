"""vary: variations of a job's text, one for each segment that there will be."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import TextVaried
from media_assets.settings import Settings
from media_assets.steps.segment_plan import JobOptions, cuts
from media_assets.steps.step import Step, Work


class VaryText(Step):
    name = "vary"
    asset = "overlay_texts"
    kinds = ()
    upstream = "probe"
    version = 1
    memory_mb = 512
    timeout_seconds = 300
    description = "Variations of a job's text by a chat model, one for each segment."
    calls_model = True

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {"provider": "openai", "model": settings.vary_model, "base_url": settings.model_base_url}

    def limits(self, settings: Settings) -> dict[str, Any]:
        return {"max_answer_tokens": settings.vary_max_answer_tokens}

    def hosted_model(self, settings: Settings) -> str | None:
        return settings.vary_model

    def most_tokens(self, settings: Settings) -> tuple[int, int]:
        """Prompt, text and context are 12,000 bytes at most, and no tokenizer makes more of a text than it has bytes."""
        return (12_000, settings.vary_max_answer_tokens)

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        return {work.item_id: _wanted(work) for work in works}

    def payload(self, work: Work, outcome: ItemOutcome) -> TextVaried:
        result = outcome.result or {}
        texts = tuple(result["texts"])
        if len(texts) != work.input["count"]:
            raise ValueError(f"{len(texts)} texts are not one for each of {work.input['count']} segments")
        return TextVaried(version_id=work.version_id, model=result["model"], texts=texts)


def _wanted(work: Work) -> dict[str, Any]:
    if work.job is None:
        raise ValueError(f"{work.item_id} is no job, and only jobs have texts to vary")
    options = JobOptions.stored(work.job.options)
    video, text = work.video or {}, options.text_input
    bounds = cuts(video["duration_ms"], video["frame_rate"], options.cutting_options, work.job.item_id)
    if text is None or bounds is None:
        raise ValueError(f"job {work.item_id} has no number of texts to vary; segment_plan.plan refuses such a job")
    return {"base_text": text.base_text, "context": text.context, "count": len(bounds)}
