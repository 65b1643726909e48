"""analyze: what a vision model sees, from a thumbnail."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import AnalysisCompleted
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work


class Analyze(Step):
    name = "analyze"
    asset = "analyses"
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

    def inputs(self, connection: Connection, works: Sequence[Work]) -> dict[uuid.UUID, dict[str, Any]]:
        rows = connection.execute(
            text("""
                SELECT i.item_id, i.width, i.height, i.exif, jsonb_object_agg(t.size, t.key) AS thumbnails
                FROM items i JOIN thumbnails t USING (item_id, version_id)
                WHERE i.item_id = ANY(:ids) GROUP BY i.item_id
            """),
            {"ids": [work.item_id for work in works]},
        )
        return {
            row.item_id: {"width": row.width, "height": row.height, "exif": row.exif, "thumbnails": row.thumbnails}
            for row in rows
        }

    def payload(self, work: Work, outcome: ItemOutcome) -> AnalysisCompleted:
        result = outcome.result or {}
        return AnalysisCompleted(
            version_id=work.version_id,
            provider=result["provider"],
            model=result["model"],
            analysis=result["analysis"],
        )
