"""A sensor's run of a step that gathers its items for a task: it stays while more of its uploads are on their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch import drain as draining
from media_assets.dispatch.drain import drain
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.steps.catalogue import STEPS
from tests.unit.dispatch.draining import Target, per_item, settings
from tests.unit.dispatch.works import FunctionTarget, ok
from tests.unit.eventlog.lives import HOUR, Life


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_GATHER_LOOK_SECONDS", 0.05)


def lives(*names: str) -> list[Life]:
    return [Life(f"uploads/ada/{name}.jpg") for name in names]


def seen(store: EventStore, some: Sequence[Life]) -> None:
    """Their thumbnails are there, which detection waits for."""
    store.append([event for life in some for event in (life.probed(), life.thumbnails())])


def detected(request: StepRequest) -> Manifest:
    result = {"model": get_settings().detect_model, "detections": []}
    return per_item(lambda item: ok(item.item_id, result))(request)


def run(
    store: EventStore, behave: Callable[[StepRequest], Manifest], *, new_only: bool = True, gather_seconds: float = 20
) -> list[int]:
    """How many items each batch had. Three are worth a task."""
    target = Target(behave)
    drain(
        STEPS["detect"],
        [HOUR],
        store=store,
        settings=settings(ecs_min_items=3, ecs_gather_seconds=gather_seconds),
        targets={"lambda": FunctionTarget(target), "ecs": FunctionTarget(target)},
        run_id="run-1",
        new_only=new_only,
    )
    return [len(request.items) for request in target.requests]


def test_what_is_on_its_way_is_waited_for_and_goes_together(store: EventStore) -> None:
    first, late = lives("a", "b", "c"), lives("d", "e")
    store.append([life.upload() for life in (*first, *late)])
    seen(store, first)

    def behave(request: StepRequest) -> Manifest:
        if len(request.items) == 3:
            seen(store, late[:1])  # one of two: not worth a batch yet
            threading.Timer(0.5, seen, (store, late[1:])).start()
        return detected(request)

    assert sorted(run(store, behave)) == [1, 1, 3]  # the two of them side by side, as functions do few items


def test_what_never_comes_is_given_up(store: EventStore) -> None:
    here, never = lives("a", "never")
    store.append([here.upload(), never.upload()])
    seen(store, [here])
    began = time.monotonic()
    assert run(store, detected, gather_seconds=0.3) == [1]
    assert time.monotonic() - began >= 0.3


def test_it_ends_when_what_was_coming_turns_out_to_be_nothing(store: EventStore) -> None:
    here, broken = lives("a", "broken")
    store.append([here.upload(), broken.upload()])
    seen(store, [here])
    began = time.monotonic()
    threading.Timer(0.5, store.append, ([broken.rejected()],)).start()
    assert run(store, detected) == [1]
    assert time.monotonic() - began >= 0.5


def test_what_cannot_start_yet_is_not_waited_for(store: EventStore) -> None:
    here, retried = lives("a", "retried")
    store.append([here.upload(), retried.upload()])
    store.append([retried.failed("probe", retry_at=datetime.now(UTC) + timedelta(hours=1))])
    seen(store, [here])
    began = time.monotonic()
    assert run(store, detected) == [1]
    assert time.monotonic() - began < 10


def test_a_persons_run_waits_for_nothing(store: EventStore) -> None:
    here, later = lives("a", "later")
    store.append([here.upload(), later.upload()])
    seen(store, [here])
    assert run(store, detected, new_only=False) == [1]
