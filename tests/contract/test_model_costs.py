"""Money for real: drains of `analyze` send batches to its own handler, which asks an HTTP server for answers with a price."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lambdas.analyze.handler import handler
from lambdas.runtime.contract import ErrorCode, Manifest, StepRequest
from media_assets.dispatch.drain import drain
from media_assets.dispatch.errors import BatchDiedError, TargetUnavailableError
from media_assets.dispatch.manifest import read_manifest
from media_assets.dispatch.targets import Targets
from media_assets.eventlog.catalogue import SpendingStopped, Thumbnail
from media_assets.eventlog.events import Event, hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import ModelPrice, Settings
from media_assets.steps.budgets import resume_spending
from media_assets.steps.catalogue import STEPS
from tests.contract.conftest import Aws
from tests.contract.invocation import BUCKET, Clock, picture
from tests.contract.model_server import CHAT_MODEL, ModelServer, fails, says
from tests.unit.dispatch.works import FunctionTarget
from tests.unit.eventlog.lives import Life

NOW = datetime.now(UTC)
ANALYZE = STEPS["analyze"]
TOKENS = 1200 * 1 + 340 * 4
"""Micro-dollars of one answer of the model server, at a dollar and four a million tokens."""


def settings(server: ModelServer, **changes: object) -> Settings:
    fields: dict[str, object] = {
        "model_provider": "openai",
        "model_base_url": server.base_url,
        "analyze_model": CHAT_MODEL,
        "model_prices": {CHAT_MODEL: ModelPrice(input=Decimal(1), output=Decimal(4))},
        "analyze_max_tokens_in": 1200,
        "analyze_max_answer_tokens": 400,
    }
    return Settings.model_validate(fields | changes)


def photos(aws: Aws, store: EventStore, number: int) -> list[Life]:
    """Items that are due for analysis, with thumbnails in the bucket."""
    key = aws.put_picture(picture())
    thumbnail = Thumbnail(size=800, width=800, height=600, key=key, sha256="0" * 64, size_bytes=1, content_type="image/webp")
    lives = [Life(f"uploads/ada/{n}.jpg") for n in range(number)]
    for life in lives:
        upload, made = life.upload(at=NOW), life.thumbnails()
        upload = upload.model_copy(update={"payload": upload.payload.model_copy(update={"bucket": BUCKET})})
        made = made.model_copy(update={"payload": made.payload.model_copy(update={"thumbnails": (thumbnail,)})})
        store.append([upload, life.probed(), made])
    return lives


def function(request: StepRequest) -> Manifest:
    """The step's own handler, over the same JSON that Lambda carries."""
    answer = handler(json.loads(json.dumps({"request": request.model_dump(mode="json")})), Clock(memory_limit_in_mb="2048"))
    return read_manifest(request, json.loads(json.dumps(answer)))


def analyze(store: EventStore, chosen: Settings, invoke: Callable[[StepRequest], Manifest] = function) -> int:
    targets: Targets = {"lambda": FunctionTarget(invoke)}
    tallies = drain(ANALYZE, [hour_of(NOW)], store=store, settings=chosen, targets=targets, run_id=None)
    return sum(tally.processed for tally in tallies.values())


def outcomes(store: EventStore) -> list[Event]:
    return [event for event in store.all() if event.step == "analyze" and event.occurred_at >= NOW]


def test_an_analysis_costs_its_tokens_and_its_part_of_the_invocation(
    aws: Aws, store: EventStore, model_server: ModelServer
) -> None:
    photos(aws, store, 4)
    assert analyze(store, settings(model_server, dispatch_threads=1)) == 4
    found = outcomes(store)
    assert {(event.tokens_in, event.tokens_out, event.memory_mb) for event in found} == {(1200, 340, 2048)}
    assert all(event.micro_dollars > TOKENS for event in found)
    compute = sum(event.micro_dollars - TOKENS for event in found)
    seconds = sum(event.milliseconds for event in found) / 1000
    assert seconds * 33 < compute < (seconds + 5) * 34  # $0.0000333 a second of 2 GB
    assert {request["max_completion_tokens"] for request in model_server.requests} == {400}


def test_an_answer_that_cant_be_used_is_paid_for(aws: Aws, store: EventStore, model_server: ModelServer) -> None:
    photos(aws, store, 1)
    model_server.next(says("no JSON"))
    assert analyze(store, settings(model_server)) == 0
    [failure] = outcomes(store)
    assert failure.payload.type == "StepFailed"
    assert (failure.tokens_in, failure.tokens_out) == (1200, 340)
    assert failure.micro_dollars > TOKENS


def test_what_an_outage_cost_is_paid_with_the_next_answer(aws: Aws, store: EventStore, model_server: ModelServer) -> None:
    photos(aws, store, 1)
    chosen = settings(model_server, retry_base_seconds=0.001)
    model_server.next(fails(503))
    with pytest.raises(TargetUnavailableError):
        analyze(store, chosen)
    assert outcomes(store) == []
    with store.engine.connect() as connection:
        owed = connection.exec_driver_sql("SELECT owed_micro_dollars FROM claims").scalar_one()
    assert owed > 0
    assert analyze(store, chosen) == 1
    [event] = outcomes(store)
    assert event.micro_dollars > TOKENS + owed


def test_an_answer_that_got_lost_with_its_invocation_is_paid_for_once(
    aws: Aws, store: EventStore, model_server: ModelServer
) -> None:
    """The function was killed after it had stored its result; the next attempt finds it, and its tokens."""
    photos(aws, store, 2)
    lost: list[Manifest] = []

    def killed_at_first(request: StepRequest) -> Manifest:
        manifest = function(request)
        if not lost:
            lost.append(manifest)
            raise BatchDiedError(ErrorCode.CRASHED, "killed")
        return manifest

    assert analyze(store, settings(model_server, dispatch_threads=1), killed_at_first) == 2
    assert len(model_server.requests) == 2
    assert [event.tokens_in for event in outcomes(store)] == [1200, 1200]


def test_runs_side_by_side_stop_within_the_budget_and_go_on_when_it_is_raised(
    aws: Aws, store: EventStore, model_server: ModelServer
) -> None:
    photos(aws, store, 12)
    most = ANALYZE.most_micro_dollars(settings(model_server))
    low = settings(model_server, daily_budget_dollars=Decimal(most + 4 * TOKENS) / 1_000_000)
    with ThreadPoolExecutor(2) as pool:
        done = sum(pool.map(lambda _: analyze(store, low), range(2)))
    assert 1 <= done <= 5
    spent = sum(event.micro_dollars for event in outcomes(store))
    assert spent <= most + 4 * TOKENS < spent + most
    assert len(model_server.requests) == done
    [stopped] = [event.payload for event in store.stream("account-ada")]
    assert isinstance(stopped, SpendingStopped)
    assert stopped.spent_micro_dollars == spent

    high = settings(model_server, daily_budget_dollars=10)
    assert resume_spending(store, high) == ["ada"]
    assert analyze(store, high) == 12 - done
    assert len(model_server.requests) == 12
