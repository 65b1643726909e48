"""What a step is: a recipe, the facts it reads, and the event that a result becomes."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Connection

from lambdas.runtime.contract import BatchItem, ItemOutcome, recipe_digest
from media_assets.eventlog.catalogue import Payload
from media_assets.eventlog.events import NO_TRACE, StepRef, Trace
from media_assets.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """A way to compute: changing any of it makes older results stale. `digest` is its identity (12 hex digits)."""

    step: str
    version: int
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return recipe_digest(self.step, self.version, dict(self.parameters))


@dataclass(frozen=True)
class Work:
    """An item's due step, claimed. `pixels` is 0 until the item is probed; `failures` counts earlier failed attempts,
    `attempt` counts this one and every earlier one, also those that never reported back."""

    item_id: uuid.UUID
    user_id: str
    bucket: str
    key: str
    version_id: str
    size_bytes: int
    pixels: int
    hour: datetime
    step: str
    generation: int
    failures: int
    attempt: int
    trace: Trace = NO_TRACE
    input: Mapping[str, Any] = field(default_factory=dict)

    def ref(self, recipe: Recipe) -> StepRef:
        return StepRef(
            item_id=self.item_id,
            user_id=self.user_id,
            version_id=self.version_id,
            step=self.step,
            recipe=recipe.digest,
            generation=self.generation,
            trace=self.trace,
        )

    def batch_item(self, recipe: Recipe) -> BatchItem:
        item_id = str(self.item_id)
        return BatchItem(
            item_id=item_id,
            bucket=self.bucket,
            key=self.key,
            version_id=self.version_id,
            size_bytes=self.size_bytes,
            generation=self.generation,
            output_prefix=f"derived/{item_id}/{self.step}/{recipe.digest}/{self.version_id}/{self.generation}/",
            input=dict(self.input),
        )


class Step(ABC):
    """One kind of computation. `version` rises when its code changes what comes out."""

    name: ClassVar[str]
    asset: ClassVar[str]
    upstream: ClassVar[str | None]
    version: ClassVar[int]
    description: ClassVar[str]
    calls_model: ClassVar[bool] = False

    @abstractmethod
    def parameters(self, settings: Settings) -> dict[str, Any]:
        """What the result depends on, as JSON values; part of the recipe."""

    def limits(self, settings: Settings) -> dict[str, Any]:
        """Bounds that the remote step enforces; not part of the recipe, since they don't change a result."""
        return {}

    def inputs(self, connection: Connection, works: Sequence[Work]) -> dict[uuid.UUID, dict[str, Any]]:
        """Facts from earlier steps that this one reads, by item."""
        return {}

    @abstractmethod
    def payload(self, work: Work, outcome: ItemOutcome) -> Payload:
        """The event that a result becomes. Raises pydantic.ValidationError or KeyError for a result that is nonsense."""

    def recipe(self, settings: Settings) -> Recipe:
        return Recipe(self.name, self.version, self.parameters(settings))
