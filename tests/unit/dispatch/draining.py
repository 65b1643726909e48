"""Draining a step against a real database, with a target that is a Python function: it can be slow, lie and die at will."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from lambdas.runtime.contract import BatchItem, ItemOutcome, Manifest, StepRequest
from media_assets.dispatch.breakers import open_breakers
from media_assets.dispatch.drain import drain
from media_assets.dispatch.tally import Tally
from media_assets.eventlog.events import hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.pending import StepCounts, due_work, step_counts
from tests.conftest import ARRIVAL, received
from tests.unit.dispatch.works import PROBE, FunctionTarget, answer_to

HOUR = hour_of(ARRIVAL)


class Target:
    """A step's function. `behave` decides about each request; by default every item is done. Keeps what it was sent."""

    def __init__(self, behave: Callable[[StepRequest], Manifest] = answer_to) -> None:
        self._behave = behave
        self._lock = threading.Lock()
        self._running = 0
        self.most_at_once = 0
        self.requests: list[StepRequest] = []

    def __call__(self, request: StepRequest) -> Manifest:
        with self._lock:
            self.requests.append(request)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            return self._behave(request)
        finally:
            with self._lock:
                self._running -= 1

    @property
    def times_sent(self) -> Counter[str]:
        """How often each item was sent, by key."""
        return Counter(item.key for request in self.requests for item in request.items)


def per_item(outcome_of: Callable[[BatchItem], ItemOutcome]) -> Callable[[StepRequest], Manifest]:
    return lambda request: answer_to(request, [outcome_of(item) for item in request.items])


def settings(**changes: Any) -> Settings:
    return Settings(**{"dispatch_threads": 2, "batch_max_items": 4, **changes})


def run(
    store: EventStore,
    target: Callable[[StepRequest], Manifest],
    hours: Sequence[datetime] = (HOUR,),
    on_batch: Callable[[str], None] = lambda message: None,
    **changes: Any,
) -> dict[datetime, Tally]:
    return drain(
        PROBE,
        hours,
        store=store,
        settings=settings(**changes),
        targets={"lambda": FunctionTarget(target)},
        run_id="run-1",
        on_batch=on_batch,
    )


def upload(store: EventStore, *names: str, at: datetime | None = None) -> list[str]:
    """Uploads that are due for probe; their keys."""
    keys = [f"uploads/ada/{name}.jpg" for name in names]
    store.append([received(key, at=at) for key in keys])
    return keys


def counts(store: EventStore) -> StepCounts:
    with store.engine.connect() as connection:
        return step_counts(connection)["probe"]


def is_due(store: EventStore) -> bool:
    """Whether the hour has work that a sensor would start now."""
    with store.engine.connect() as connection:
        return any(due.hour == HOUR for due in due_work(connection, settings()))


def breaker_is_open(store: EventStore) -> bool:
    with store.engine.connect() as connection:
        return [breaker.target for breaker in open_breakers(connection)] == ["probe"]


def let_time_pass(store: EventStore) -> None:
    """Until every breaker has closed."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE breakers SET open_until = now()"))


def claimed_now(store: EventStore) -> int:
    with store.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM claims WHERE lease_expires_at >= now()")).scalar_one())


def failures(store: EventStore) -> dict[str, tuple[int, str]]:
    """Failures so far and the last error's code, by key, of items that have any."""
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT i.key, s.failures, s.error_code FROM steps s JOIN items i USING (item_id) WHERE s.failures > 0")
        )
        return {key: (failures, code) for key, failures, code in rows}


def event_types(store: EventStore) -> Counter[str]:
    return Counter(event.payload.type for event in store.all())
