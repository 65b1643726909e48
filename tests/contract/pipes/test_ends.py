"""How a task ends, and what that says: the answer decides, and no exit code makes a success of one that isn't there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.contract.pipes.front import Reply
from tests.contract.pipes.machine import MARKS, Machine, only_ecs
from tests.waiting import eventually

pytestmark = only_ecs

# At the first attempt it does what the file's name says.
PROGRAM = (
    MARKS
    + """
import os, time

def process(item, context):
    mark(item)
    if context.attempt == 1 and item.key.endswith("leaves"):
        os._exit(0)
    if context.attempt == 1 and item.key.endswith("stays"):
        time.sleep(60)
    if context.attempt == 1 and item.key.endswith("lingers"):
        time.sleep(1)
    return StepResult({"model": f"attempt {context.attempt}", "detections": []})

def edit(event, answer):
    if "cuts" in str(event["request"]["items"]):
        from lambdas.runtime.contract import answer_key
        request = event["request"]
        key = answer_key(request["step"], request["attempt_id"])
        boto3.client("s3").put_object(Bucket=request["items"][0]["bucket"], Key=key, Body=str(answer).encode()[:300])
    return answer
"""
)


def say_of_the_first_task(machine: Machine, change: Callable[[dict[str, Any]], None]) -> None:
    """What DescribeTasks tells of the first task that has stopped, changed."""
    firsts: list[str] = []

    def edit(answer: Any) -> Any:
        for task in answer["tasks"]:
            if task["lastStatus"] == "STOPPED":
                firsts.append(task["taskArn"])
                if task["taskArn"] == firsts[0]:
                    change(task)
        return answer

    machine.by_way_of_the_front("ecs")
    machine.front.edit("DescribeTasks", edit)


def interrupted(task: dict[str, Any]) -> None:
    """As AWS tells of a task that it took the capacity from: without an exit code."""
    task["stopCode"], task["stoppedReason"] = "SpotInterruption", "Your Spot Task was interrupted."
    for container in task["containers"]:
        container.pop("exitCode", None)


def run_it(machine: Machine, name: str) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload(name)
    assert machine.run().failure is None


def is_done_in(machine: Machine, name: str, attempts: int) -> None:
    assert machine.done()[name].model == f"attempt {attempts}"
    assert machine.marked(name) == attempts
    assert machine.failures() == {}
    assert machine.outcomes() == machine.events("DetectionsCompleted")
    assert machine.breaker() is None


def test_without_an_exit_code_and_an_answer_it_was_interrupted_and_is_sent_again(machine: Machine) -> None:
    say_of_the_first_task(machine, interrupted)
    run_it(machine, "leaves")
    is_done_in(machine, "leaves", attempts=2)
    (event,) = machine.outcomes()
    assert event.micro_dollars > 0


def test_interrupted_with_a_complete_answer_it_is_done(machine: Machine) -> None:
    say_of_the_first_task(machine, interrupted)
    run_it(machine, "a")
    is_done_in(machine, "a", attempts=1)


def test_a_task_that_ecs_forgot_is_sent_again(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs")
    machine.front.edit("DescribeTasks", lambda _: {"tasks": [], "failures": [{"arn": "x", "reason": "MISSING"}]}, times=1)
    run_it(machine, "leaves")
    assert machine.done()["leaves"].model == "attempt 2"
    assert machine.failures() == {}


def test_while_ecs_doesnt_say_how_a_task_is_it_is_waited_for(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs")
    machine.front.refuse("DescribeTasks", "ThrottlingException", "Rate exceeded", times=3)
    run_it(machine, "a")
    is_done_in(machine, "a", attempts=1)


@contextmanager
def somebody_who_stops(machine: Machine, name: str) -> Iterator[None]:
    """Somebody stops the task that has begun with a file."""

    def stop() -> None:
        eventually(lambda: machine.marked(name))
        (task,) = machine.tasks()
        machine.ecs.stop_task(cluster=machine.cluster, task=task, reason="enough")

    machine.batches_of(8)
    machine.deploy(PROGRAM)
    thread = threading.Thread(target=stop)
    thread.start()
    yield
    thread.join()


def test_a_task_that_somebody_stops_is_nobodys_failure(machine: Machine) -> None:
    machine.upload("stays")
    with somebody_who_stops(machine, "stays"):
        assert machine.run().failure is None
    is_done_in(machine, "stays", attempts=2)


def test_exit_code_0_without_an_answer_is_no_success(machine: Machine) -> None:
    run_it(machine, "leaves")
    assert machine.failures() == {"leaves": (1, "crashed")}


def test_an_answer_that_is_cut_fails_the_run(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    machine.upload("cuts")
    run = machine.run()
    assert run.failure is not None
    assert run.failure.startswith("ManifestError")
    assert "answered with 300 bytes that aren't JSON" in run.failure
    assert machine.outcomes() == []


def test_messages_whose_objects_got_lost_come_with_the_answer(machine: Machine) -> None:
    machine.by_way_of_the_front("s3")
    machine.front.on(lambda operation: operation.startswith("GET ") and "/messages/" in operation, not_there)
    machine.deploy("""
        def process(item, context):
            context.log.info("one line")
            return StepResult({"model": "test", "detections": []})
    """)
    machine.upload("a")
    run = machine.run()
    assert run.failure is None
    assert [message for message in run.messages if message == "one line"] == ["one line"]


def not_there(*_: Any) -> Reply:
    body = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>Nothing is there</Message></Error>"
    return Reply(404, {"Content-Type": "application/xml"}, body)
