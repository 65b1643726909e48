"""embed: a vector of what the analysis says, for search by meaning."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import EmbeddingStored
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work


class Embed(Step):
    name = "embed"
    asset = "embeddings"
    kinds = ("image", "frame")
    upstream = "analyze"
    version = 1
    memory_mb = 1024
    timeout_seconds = 300
    description = "A vector of each analysis, for search by meaning."
    calls_model = True

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {
            "provider": settings.model_provider,
            "model": settings.embed_model,
            "base_url": settings.model_base_url,
            "dimensions": settings.embed_dimensions,
        }

    def limits(self, settings: Settings) -> dict[str, Any]:
        return {"timeout_seconds": settings.model_timeout_seconds}

    def hosted_model(self, settings: Settings) -> str | None:
        return None if settings.model_provider == "local" else settings.embed_model

    def most_tokens(self, settings: Settings) -> tuple[int, int]:
        """The function embeds 8,000 characters at most, and no tokenizer makes more of a text than it has UTF-8 bytes and
        the two marks around it."""
        return (8_000 * 4 + 2, 0)

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        rows = connection.execute(
            text("""
                SELECT i.item_id, a.analysis_id, a.category, a.summary, a.tags, a.objects, a.text
                FROM items i JOIN analyses a USING (item_id, version_id) WHERE i.item_id = ANY(:ids)
            """),
            {"ids": [work.item_id for work in works]},
        )
        return {row.item_id: {"text": text_of(row._asdict()), "analysis_id": str(row.analysis_id)} for row in rows}

    def payload(self, work: Work, outcome: ItemOutcome) -> EmbeddingStored:
        result = outcome.result or {}
        vector = tuple(float(value) for value in result["vector"])
        if len(vector) != result["dimensions"] or not math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-3):
            raise ValueError(
                f"a vector of length {math.hypot(*vector):.4f} with {len(vector)} values is not a unit vector of"
                f" {result['dimensions']} dimensions"
            )
        return EmbeddingStored(
            version_id=work.version_id,
            analysis_id=work.input["analysis_id"],
            model=result["model"],
            dimensions=result["dimensions"],
            vector=vector,
        )


def text_of(analysis: Mapping[str, Any]) -> str:
    """The text that stands for an analysis: most telling first, since models cut long texts off."""
    captions = [str(each["caption"]) for each in analysis["objects"]]
    parts = [analysis["summary"], ", ".join(analysis["tags"]), analysis["category"], ", ".join(dict.fromkeys(captions))]
    return "\n".join([*filter(None, parts), *analysis["text"]])
