"""A worker that is killed takes its answer along: the batch is halved until the file that kills it is alone."""

from __future__ import annotations

import pytest

from tests.contract.pipes.machine import MARKS, Machine, only_ecs

# Dies of a file that is named for it.
PROGRAM = (
    MARKS
    + """
import os, signal, time

def process(item, context):
    name = item.key.rsplit("/", 1)[1]
    mark(item)
    if name == "sleep":
        time.sleep(60)
    if name == "hang":
        (10 ** 8_000_000) ** 3 % 7  # one operation of the interpreter, which no signal handler can interrupt
    if name == "exit":
        os._exit(1)
    if name in ("SIGKILL", "SIGSEGV"):
        os.kill(os.getpid(), signal.Signals[name])
    if name == "memory":
        block = bytearray(os.urandom(1 << 20)) * 300
        time.sleep(60)
    return StepResult({"model": "test", "detections": []})
"""
)


@pytest.mark.parametrize(
    ("poison", "neighbours", "timeout_seconds", "code"),
    [
        ("sleep", [], 3, "timeout"),
        ("exit", ["a", "b", "c"], 30, "crashed"),
        ("SIGKILL", ["a"], 30, "crashed"),
        ("SIGSEGV", ["a"], 30, "crashed"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_one_file_that_kills_a_batch_fails_and_its_neighbours_are_done(
    machine: Machine, poison: str, neighbours: list[str], timeout_seconds: int, code: str
) -> None:
    dies_of(machine, poison, neighbours, timeout_seconds, code)


@only_ecs
@pytest.mark.parametrize(("poison", "timeout_seconds", "code"), [("hang", 3, "timeout"), ("memory", 30, "crashed")])
def test_a_task_that_hangs_in_native_code_or_needs_too_much_memory_is_ended(
    machine: Machine, poison: str, timeout_seconds: int, code: str
) -> None:
    dies_of(machine, poison, [], timeout_seconds, code, memory=200)
    assert machine.tasks() == []


def dies_of(machine: Machine, poison: str, neighbours: list[str], timeout_seconds: int, code: str, **container: int) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM, timeout_seconds, **container)
    machine.upload(*neighbours[:1], poison, *neighbours[1:])
    run = machine.run()
    assert run.failure is None  # a failed item leaves its run green
    assert machine.failures() == {poison: (1, code)}
    assert machine.done().keys() == {*neighbours}
    (failed,) = machine.events("StepFailed")
    assert (failed.run_id, failed.target) == (run.result.run_id, machine.target)
    assert machine.counts().failed == 1
    assert machine.breaker() is None
    assert machine.marked(poison) == len(neighbours).bit_length() + 1  # in batches of 4, of 2 and alone
    assert machine.parcels("event.json") == []


def test_a_file_that_kills_every_time_is_dead(machine: Machine) -> None:
    machine.configure(MEDIA_RETRY_BASE_SECONDS="0.001", MEDIA_RETRY_MAX_SECONDS="0.001", MEDIA_MAX_ATTEMPTS="2")
    machine.deploy(PROGRAM)
    machine.upload("exit")
    for _ in range(3):
        assert machine.run().failure is None
    assert machine.marked("exit") == 2
    assert machine.counts().dead == 1
    assert len(machine.events("StepAbandoned")) == 1


def test_a_worker_whose_time_runs_out_keeps_what_it_did(machine: Machine) -> None:
    # The shared runtime stops starting files in time: nothing is killed, and nothing is anybody's failure.
    machine.batches_of(8)
    machine.deploy(PROGRAM.replace("return StepResult", "time.sleep(0.8); return StepResult"), timeout_seconds=3)
    names = ["1", "2", "3", "4"]
    machine.upload(*names)
    assert machine.run().failure is None
    assert machine.counts().done == 4
    assert [machine.marked(name) for name in names] == [1, 1, 1, 1]
    assert len({event.attempt_id for event in machine.events("DetectionsCompleted")}) > 1
    assert machine.outcomes() == machine.events("DetectionsCompleted")
