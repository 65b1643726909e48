"""A run that is cancelled at any moment leaves no task behind, sends nothing more and gives back what it held.

It gets SIGTERM, as from Dagster's run launcher, in a process of its own.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from tests.contract.pipes.front import Call, Reply
from tests.contract.pipes.machine import MARKS, Machine, only_ecs, only_lambda
from tests.waiting import eventually

LIMIT_SECONDS = 5

PROGRAM = (
    MARKS
    + """
import time

def process(item, context):
    mark(item)
    if item.key.endswith("stays"):
        time.sleep(60)
    return StepResult({"model": "test", "detections": []})
"""
)


def cancel_when(machine: Machine, holds: Callable[[], Any], process: BaseProcess) -> None:
    """Cancel the run in `process` at that moment; within five seconds it is over and nothing of it is left."""
    eventually(holds)
    assert process.is_alive()
    assert machine.claimed() > 0
    began = time.monotonic()
    process.terminate()
    process.join(LIMIT_SECONDS)
    assert process.exitcode not in (None, 0, -signal.SIGTERM, -signal.SIGKILL)  # by itself, and not as a success
    assert machine.tasks() == []
    assert time.monotonic() - began < LIMIT_SECONDS
    assert machine.claimed() == 0
    assert machine.owing() == 1  # what was under way
    assert machine.outcomes() == []
    assert machine.breaker() is None


@only_ecs
@pytest.mark.parametrize("phase", ["RunTask is under way", "the task starts", "it works", "it has answered"])
def test_a_cancelled_run_stops_its_task(machine: Machine, phase: str) -> None:
    machine.by_way_of_the_front("ecs")
    machine.batches_of(1)
    program = f"import time; time.sleep(60)\n{PROGRAM}" if phase == "the task starts" else PROGRAM
    machine.deploy(program)
    names = ("a", "b", "c") if phase == "it has answered" else ("stays", "b", "c")
    machine.upload(*names)

    if phase == "RunTask is under way":
        machine.front.on("RunTask", after_a_second)
    if phase == "it has answered":
        machine.front.edit("DescribeTasks", still_running)
    moments: dict[str, Callable[[], Any]] = {
        "RunTask is under way": lambda: machine.front.asked("RunTask"),
        "the task starts": lambda: machine.front.asked("DescribeTasks"),
        "it works": lambda: machine.marked("stays"),
        "it has answered": lambda: machine.parcels("answer.json") and machine.tasks() == [],
    }
    with machine.running() as process:
        cancel_when(machine, moments[phase], process)
    assert len(machine.front.asked("RunTask")) == 1
    assert machine.marked("b") == 0


def after_a_second(call: Call, ask: Callable[[Call], Reply]) -> Reply:
    """The task is there at once; whoever asked for it learns that later."""
    reply = ask(call)
    time.sleep(1)
    return reply


def still_running(answer: Any) -> Any:
    for task in answer["tasks"]:
        task["lastStatus"] = "RUNNING"
    return answer


@only_lambda
def test_a_cancelled_run_waits_for_no_function_and_sends_nothing_more(machine: Machine) -> None:
    machine.by_way_of_the_front("lambda")
    machine.batches_of(1)
    machine.deploy(PROGRAM.replace("time.sleep(60)", "time.sleep(6)"))
    machine.upload("stays", "b", "c")
    with machine.running() as process:
        cancel_when(machine, lambda: machine.marked("stays"), process)
    assert len([call for call in machine.front.calls if call.method == "POST"]) == 1
    assert machine.marked("b") == 0
