"""An attempt is made once; made twice it doubles nothing. What is too large to be sent travels as an object."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from types import new_class
from typing import Any

import pytest
from dagster import build_asset_context
from sqlalchemy import Connection

from lambdas.runtime.contract import MAX_INLINE_BYTES
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.lambda_pipes import LambdaTarget
from media_assets.settings import Settings, get_settings
from media_assets.steps.detect import Detect
from media_assets.steps.step import Work
from tests.contract.pipes.front import Call, Cut, Reply
from tests.contract.pipes.machine import BUCKET, CLIENT, DETECT, MARKS, Machine, only_ecs, only_lambda
from tests.waiting import eventually

# Each time it is something else that it would store.
PROGRAM = (
    MARKS
    + """
import time

def process(item, context):
    mark(item)
    if item.key.endswith("slow"):
        time.sleep(2)
    told = context.storage.write(item.bucket, item.output_prefix + "told", uuid.uuid4().bytes, "text/plain")
    return StepResult({"model": "test", "detections": []}, (told,))
"""
)


def test_an_attempt_that_is_delivered_twice_doubles_nothing(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs", "lambda")
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("a", "b")
    machine.front.on(sent(machine), lambda call, ask: (ask(call), ask(call))[1], times=1)
    assert machine.run().failure is None
    eventually(lambda: machine.target == "lambda" or machine.tasks() == [])
    assert [machine.marked(name) for name in ("a", "b")] == [2, 2]
    assert len(machine.outcomes()) == machine.counts().done == 2
    assert len({event.attempt_id for event in machine.outcomes()}) == 1
    found = machine.s3.list_object_versions(Bucket=BUCKET, Prefix="derived/").get("Versions", [])
    items = {str(event.item_id) for event in machine.outcomes()}
    assert sorted(each["Key"].split("/")[1] for each in found if each["Key"].split("/")[1] in items) == sorted(items)


def sent(machine: Machine) -> str:
    """The operation with which a batch is sent."""
    return "RunTask" if machine.target == "ecs" else f"POST /2015-03-31/functions/{machine.name}/invocations"


@only_ecs
def test_a_task_whose_start_nobody_heard_of_is_taken_as_it_is(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs")
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("a")

    def cut(call: Call, ask: Any) -> Reply:
        ask(call)
        raise Cut

    machine.front.on("RunTask", cut, times=1)
    assert machine.run().failure is None
    assert machine.counts().done == machine.marked("a") == 1
    assert len(machine.front.asked("RunTask")) == 1  # whose token AWS would take for the same task, and others don't


def impatient() -> MediaResource:
    """Waits for a function's answer for one second, as production does for 910."""

    def settings(_: MediaResource) -> Settings:
        return get_settings().model_copy(update={"invoke_timeout_seconds": 1})

    kind = new_class("Impatient", (CLIENT.media,), exec_body=lambda body: body.update(settings=property(settings)))
    media: MediaResource = kind()
    return media


@only_lambda
def test_a_function_slower_than_the_read_timeout_is_invoked_exactly_once(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    machine.upload("slow")
    run = machine.run(media=impatient())
    assert run.failure is not None
    assert run.failure.startswith("TargetUnavailableError")
    assert "ReadTimeoutError" in run.failure
    time.sleep(2.5)  # until it has ended, and time for a second one to begin
    assert machine.marked("slow") == 1
    assert machine.outcomes() == []
    assert machine.owing() == 1

    machine.let_time_pass()
    assert machine.run().failure is None  # with the patience that production has
    assert machine.marked("slow") == 2
    assert machine.counts().done == 1


@only_lambda
def test_ours_waits_longer_than_any_function_may_run_and_asks_once(machine: Machine) -> None:
    target = LambdaTarget.connect(build_asset_context(), get_settings(), DETECT)
    config: Any = target._client.meta.config
    assert config.read_timeout == get_settings().invoke_timeout_seconds > 900
    assert config.retries["total_max_attempts"] == 1
    assert config.tcp_keepalive is True


class Wordy(Detect):
    """Tells its worker more than a function may be sent."""

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        found = super().inputs(connection, works, settings)
        return {item_id: {**facts, "words": "x" * MAX_INLINE_BYTES} for item_id, facts in found.items()}


@pytest.mark.parametrize("size", ["large", "small"])
def test_what_is_too_large_to_be_sent_travels_as_an_object_and_is_cleared_away(machine: Machine, size: str) -> None:
    large = size == "large"
    machine.by_way_of_the_front("s3")
    machine.batches_of(8)
    machine.deploy(
        """
        def process(item, context):
            return StepResult({"model": str(len(item.input.get("words", ""))), "detections": []})

        def edit(event, answer):
            return {**answer, "words": "x" * len(event["request"]["items"][0]["input"].get("words", ""))}
        """
    )
    machine.upload("a")
    run = machine.run(step=Wordy() if large else None)
    assert run.failure is None
    assert machine.done()["a"].model == str(MAX_INLINE_BYTES if large else 0)
    travelled = {call.path.split("?")[0].rsplit("/", 1)[1] for call in machine.front.calls if "/dispatch/" in call.path}
    assert {"event.json", "answer.json"} <= travelled if large or machine.target == "ecs" else travelled == set()
    assert machine.parcels() == []
