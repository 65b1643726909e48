"""What a step is: a recipe, the facts it reads, and the event that a result becomes."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from sqlalchemy import Connection

from lambdas.runtime.contract import BatchItem, ItemOutcome, recipe_digest
from media_assets.eventlog.catalogue import Payload
from media_assets.eventlog.events import NO_TRACE, StepRef, Trace
from media_assets.settings import Settings
from media_assets.steps.prices import fargate_task, lambda_invocation, model_call

TargetName = Literal["lambda", "ecs"]


@dataclass(frozen=True)
class TaskSize:
    """An ECS task on Fargate (infra/steps.py has the same), and how long it may run."""

    vcpus: Decimal
    memory_mb: int
    timeout_seconds: int


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
    recomputation: bool = False
    """Whether it has come to an end for this very content before: new uploads go first."""
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
            **self.trace.model_dump(mode="json"),
        )


class Step(ABC):
    """One kind of computation. `version` rises when its code changes what comes out."""

    name: ClassVar[str]
    asset: ClassVar[str]
    upstream: ClassVar[str | None]
    version: ClassVar[int]
    description: ClassVar[str]
    memory_mb: ClassVar[int]
    """Of its Lambda function, as `timeout_seconds` is (infra/steps.py): what an invocation without an answer is billed by."""
    timeout_seconds: ClassVar[int]
    targets: ClassVar[tuple[TargetName, ...]] = ("lambda",)
    """Where it may be computed, the usual place first."""
    task: ClassVar[TaskSize | None] = None
    """Its task on ECS, if it may be computed there."""
    calls_model: ClassVar[bool] = False
    """Whether it may ask a hosted model, whose bill has no natural bound: budgets are of such steps."""

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

    def hosted_model(self, settings: Settings) -> str | None:
        """The model that is paid by the token, if there is one."""
        return None

    def most_tokens(self, settings: Settings) -> tuple[int, int]:
        """How many tokens one attempt at an item may take of the hosted model, in and out."""
        return (0, 0)

    def most_micro_dollars(self, settings: Settings) -> int:
        """What one attempt at an item may cost at most: all its tokens, and an invocation or a task for it alone until its
        time limit, whichever of the step's targets is the dearest. Items of one batch share that bill."""
        bills = {"lambda": lambda_invocation(settings, milliseconds=self.timeout_seconds * 1000, memory_mb=self.memory_mb)}
        if self.task is not None:
            size = self.task
            seconds = Decimal(size.timeout_seconds)
            bills["ecs"] = fargate_task(settings, seconds=seconds, vcpus=size.vcpus, memory_mb=size.memory_mb)
        return max(bills[target] for target in self.targets) + self.tokens_micro_dollars(settings, *self.most_tokens(settings))

    def tokens_micro_dollars(self, settings: Settings, tokens_in: int, tokens_out: int) -> int:
        model = self.hosted_model(settings)
        return model_call(settings, model, tokens_in=tokens_in, tokens_out=tokens_out) if model else 0

    def breaker(self, target: TargetName) -> str:
        """The name of the circuit breaker of this step's function, or of its tasks."""
        return self.name if target == "lambda" else f"{self.name}@{target}"

    def recipe(self, settings: Settings) -> Recipe:
        return Recipe(self.name, self.version, self.parameters(settings))
