"""analyze: what a vision model sees, from a thumbnail."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import AnalysisCompleted
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work
from media_assets.steps.thumbnail import picture_facts


class Analyze(Step):
    name = "analyze"
    asset = "analyses"
    kinds = ("image", "frame")
    upstream = "thumbnail"
    version = 1
    memory_mb = 2048
    timeout_seconds = 300
    description = "What a vision model sees: category, summary, tags, objects with boxes, text, dominant colours."
    calls_model = True

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {
            "provider": settings.model_provider,
            "model": settings.analyze_model,
            "base_url": settings.model_base_url,
            "input_px": settings.analyze_input_px,
        }

    def limits(self, settings: Settings) -> dict[str, Any]:
        return {
            "timeout_seconds": settings.model_timeout_seconds,
            "max_answer_tokens": settings.analyze_max_answer_tokens,
        }

    def hosted_model(self, settings: Settings) -> str | None:
        return None if settings.model_provider == "local" else settings.analyze_model

    def most_tokens(self, settings: Settings) -> tuple[int, int]:
        return (settings.analyze_max_tokens_in, settings.analyze_max_answer_tokens)

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        return picture_facts(connection, works, "width", "height", "exif")

    def payload(self, work: Work, outcome: ItemOutcome) -> AnalysisCompleted:
        result = outcome.result or {}
        return AnalysisCompleted(
            version_id=work.version_id,
            provider=result["provider"],
            model=result["model"],
            analysis=result["analysis"],
        )
