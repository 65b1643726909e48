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
from media_assets.eventlog.events import NO_TRACE, NewEvent, StepRef, Trace, item_stream, job_stream
from media_assets.eventlog.job_events import JobRef
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
class Job:
    """What a job's work is about: the video it cuts, and how (segment_plan.JobOptions). `texts` are what `vary` wrote."""

    item_id: uuid.UUID
    options: Mapping[str, Any]
    texts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Work:
    """A due step of an item, or of a job whose id `item_id` then is, claimed.

    `pixels`, `width` and `height`, of the upright original, are 0 and `format` is empty until the item is probed; `video` is
    what the probe learned of one (catalogue.VideoInfo); `failures` counts earlier failed attempts, `attempt` counts this one
    and every earlier one, also those that never reported back.
    """

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
    width: int = 0
    height: int = 0
    format: str = ""
    video: Mapping[str, Any] | None = None
    job: Job | None = None
    input: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        """The stream that its events are told in."""
        return job_stream(self.item_id) if self.job else item_stream(self.item_id)

    @property
    def job_ref(self) -> JobRef:
        """The job that it is work of. Raises ValueError if it is an item's own."""
        if self.job is None:
            raise ValueError(f"{self.step} of item {self.item_id} is no job's")
        return JobRef(job_id=self.item_id, item_id=self.job.item_id, user_id=self.user_id)

    def ref(self, recipe: Recipe) -> StepRef:
        return StepRef(
            item_id=self.job.item_id if self.job else self.item_id,
            job_id=self.item_id if self.job else None,
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
            output_prefix=self._output_prefix(recipe),
            input=dict(self.input),
            **self.trace.model_dump(mode="json"),
        )

    def _output_prefix(self, recipe: Recipe) -> str:
        if self.job is None:
            return f"derived/{self.item_id}/{self.step}/{recipe.digest}/{self.version_id}/{self.generation}/"
        # What people asked for is at the top of the job's folder.
        return f"processed/{self.item_id}/" + ("" if self.step == "segment" else f"{self.step}/")


class Step(ABC):
    """One kind of computation. `version` rises when its code changes what comes out."""

    name: ClassVar[str]
    asset: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """Of items that take it: `image`, `frame`, `video`. None takes what only jobs do."""
    upstream: ClassVar[str | None]
    """The step whose result it is computed from; None: the upload itself."""
    also_after: ClassVar[tuple[str, ...]] = ()
    """Steps whose results it takes of some items, and does without for others."""
    version: ClassVar[int]
    description: ClassVar[str]
    memory_mb: ClassVar[int]
    """Of its Lambda function, as `timeout_seconds` is (infra/steps.py): what an invocation without an answer is billed by."""
    timeout_seconds: ClassVar[int]
    targets: ClassVar[tuple[TargetName, ...]] = ("lambda",)
    """Where it may be computed, the usual place first."""
    task: ClassVar[TaskSize | None] = None
    """Its task on ECS, if it may be computed there."""
    gathers: ClassVar[bool] = False
    """Whether its items are small, so that only many of them are worth a task: they wait for each other, for a while."""
    calls_model: ClassVar[bool] = False
    """Whether it may ask a hosted model, whose bill has no natural bound: budgets are of such steps."""

    @abstractmethod
    def parameters(self, settings: Settings) -> dict[str, Any]:
        """What the result depends on, as JSON values; part of the recipe."""

    def limits(self, settings: Settings) -> dict[str, Any]:
        """Bounds that the remote step enforces; not part of the recipe, since they don't change a result."""
        return {}

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        """Facts from earlier steps that this one reads, by item."""
        return {}

    @abstractmethod
    def payload(self, work: Work, outcome: ItemOutcome) -> Payload:
        """The event that a result becomes. Raises pydantic.ValidationError or KeyError for a result that is nonsense."""

    def consequences(self, work: Work, outcome: ItemOutcome, result: NewEvent) -> list[NewEvent]:
        """Events that go with `result`, the one that an outcome became."""
        return []

    def seconds(self, work: Work, settings: Settings) -> float:
        """How long the work is likely to take on the step's task: what routing and batching go by, besides bytes and
        pixels. 0 for steps whose items take a moment."""
        return 0.0

    def needs_task(self, work: Work) -> str | None:
        """Why only the step's task can do it, in a word; None if a function could, too, were it small enough."""
        return None

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

    def recipe_of(self, work: Work, settings: Settings) -> Recipe:
        """The recipe for this very work: a job may have one of its own."""
        return self.recipe(settings)
