"""Drains of the step `analyze` that cost money: items that are due for it, and targets whose bill is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from lambdas.runtime.contract import ItemOutcome, Manifest, Metrics, StepRequest
from media_assets.dispatch.drain import drain
from media_assets.eventlog.catalogue import SpendingResumed, SpendingStopped
from media_assets.eventlog.events import NewEvent, hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from tests.conftest import ARRIVAL
from tests.unit.dispatch.works import FunctionTarget, answer_to
from tests.unit.eventlog.lives import Life, rows

ANALYZE = STEPS["analyze"]
NOW = ARRIVAL
TODAY = NOW.date()
YESTERDAY = NOW - timedelta(days=1)
THIS_HOUR = hour_of(NOW)

MOST = ANALYZE.most_micro_dollars(Settings(model_provider="openai"))
"""What one analysis reserves: 32,000 tokens in, 8,192 out, and 300 s of 2 GB."""


def paid(**changes: Any) -> Settings:
    """Settings of a hosted model, one item a batch."""
    return Settings(**{"model_provider": "openai", "dispatch_threads": 2, "batch_max_model_calls": 1, **changes})


def budget(analyses: float) -> Decimal:
    """Dollars for so many analyses that cost the most."""
    return Decimal(int(MOST * analyses)) / 1_000_000


def of(user: str, event: NewEvent) -> NewEvent:
    return event.model_copy(update={"user_id": user})


def due(store: EventStore, *names: str, user: str = "ada", at: datetime = NOW) -> list[Life]:
    """Items of a user that are due for analysis."""
    lives = [Life(f"uploads/{user}/{name}.jpg") for name in names]
    store.append([of(user, event) for life in lives for event in (life.upload(at=at), life.probed(), life.thumbnails())])
    return lives


def analysed(tokens_in: int = 0, tokens_out: int = 0, milliseconds: int = 0) -> Callable[[StepRequest], Manifest]:
    """A target that analyses every item and takes this of each. It runs as long as its items together."""
    metrics = Metrics(milliseconds=milliseconds, tokens_in=tokens_in, tokens_out=tokens_out)
    result = Life().analysis().payload.model_dump(exclude={"version_id"})

    def answer(request: StepRequest) -> Manifest:
        outcomes = [ItemOutcome(item_id=item.item_id, result=result, metrics=metrics) for item in request.items]
        return answer_to(request, outcomes).model_copy(update={"memory_mb": ANALYZE.memory_mb})

    return answer


COSTLIEST = analysed(32_000, 8192, 300_000)
"""Takes all that an analysis may take."""
FREE = analysed()


def analyze(
    store: EventStore,
    target: Callable[[StepRequest], Manifest],
    settings: Settings,
    run_id: str = "run-1",
    hour: datetime = THIS_HOUR,
) -> int:
    """Drain an hour; how many were analysed. Another process has another THIS_HOUR if the hour ends in between."""
    tallies = drain(ANALYZE, [hour], store=store, settings=settings, targets={"lambda": FunctionTarget(target)}, run_id=run_id)
    return sum(tally.processed for tally in tallies.values())


def spent_today(store: EventStore, user: str = "ada", day: date = TODAY) -> int:
    found = rows(
        store,
        "SELECT coalesce(sum(micro_dollars), 0) AS spent FROM costs WHERE user_id = :u AND day = :d AND step = 'analyze'",
        u=user,
        d=day,
    )
    return int(found[0]["spent"])


def account(store: EventStore, user: str = "ada") -> list[SpendingStopped | SpendingResumed]:
    """What happened to a user's money."""
    payloads = [event.payload for event in store.stream(f"account-{user}")]
    assert all(isinstance(payload, SpendingStopped | SpendingResumed) for payload in payloads)
    return payloads  # type: ignore[return-value]
