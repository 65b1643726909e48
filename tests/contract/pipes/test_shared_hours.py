"""Several runs over one hour at once: each item's turn comes once, and what a killed run held comes back."""

from __future__ import annotations

from contextlib import ExitStack

from tests.contract.pipes.machine import HOUR, MARKS, Machine, hours_before
from tests.waiting import eventually

PROGRAM = (
    MARKS
    + """
import time

def process(item, context):
    mark(item)
    time.sleep(60 if item.key.endswith("stays") and context.attempt == 1 else 0.05)
    return StepResult({"model": "test", "detections": []})
"""
)


def test_a_sensors_a_persons_and_a_range_run_pay_for_nothing_twice(machine: Machine) -> None:
    machine.batches_of(4)
    machine.deploy(PROGRAM)
    names = [str(number) for number in range(20)]
    machine.upload(*names)
    with ExitStack() as runs:
        sensors = runs.enter_context(machine.running(work="new"))
        persons = runs.enter_context(machine.running())
        a_range = runs.enter_context(machine.running([hours_before(1), HOUR]))
        for process in (sensors, persons, a_range):
            process.join(60)
            assert process.exitcode == 0
    assert {name: machine.marked(name) for name in names} == dict.fromkeys(names, 1)
    assert machine.done().keys() == set(names)
    assert machine.outcomes() == machine.events("DetectionsCompleted")
    assert len({event.run_id for event in machine.outcomes()}) > 1  # they did share it


def test_what_a_killed_run_held_is_done_by_the_next_one(machine: Machine) -> None:
    machine.configure(MEDIA_LEASE_SECONDS="1")
    machine.batches_of(2)
    machine.deploy(PROGRAM)
    names = ["a", "stays", "c", "d", "e", "f"]
    machine.upload(*names)
    with machine.running() as process:
        eventually(lambda: machine.marked("stays"))
        process.kill()
        process.join()
    eventually(lambda: machine.claimed() == 0)
    assert machine.run().failure is None
    assert machine.done().keys() == set(names)
    assert [machine.marked(name) for name in names] == [2, 2, 1, 1, 1, 1]  # what was in flight, once more
    assert machine.outcomes() == machine.events("DetectionsCompleted")
