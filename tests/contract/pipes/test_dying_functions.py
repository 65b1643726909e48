"""A function that is killed takes its answer along: the batch is halved until the file that kills it is alone."""

from __future__ import annotations

import pytest

from tests.contract.pipes.conftest import MARKS, PROBED, Machine

# Dies of a file that is named for it.
HANDLER = (
    PROBED
    + MARKS
    + """
import os, signal, time
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepError, StepResult

def process(item, context):
    name = item.key.rsplit("/", 1)[1]
    mark(item)
    if name.startswith("sleep"):
        time.sleep(60)
    if name.startswith("exit"):
        os._exit(1)
    if name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    return StepResult(PROBED)

handler = lambda_handler("probe", process)
"""
)


@pytest.mark.parametrize(
    ("names", "timeout_seconds", "code"),
    [
        (["sleep.jpg", "a.jpg", "b.jpg", "c.jpg"], 1, "timeout"),
        (["a.jpg", "b.jpg", "exit.jpg", "c.jpg"], 30, "crashed"),
        (["a.jpg", "b.jpg", "c.jpg", "kill.jpg"], 30, "crashed"),
    ],
    ids=["time limit", "os._exit", "SIGKILL"],
)
def test_the_one_file_that_kills_a_batch_fails_and_its_neighbours_are_done(
    machine: Machine, names: list[str], timeout_seconds: int, code: str
) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="1")
    machine.deploy(HANDLER, timeout_seconds)
    items = dict(zip(names, machine.upload(*names), strict=True))
    run = machine.run()
    assert run.failure is None  # a failed item leaves its run green
    (poison,) = [name for name in names if len(name) > len("a.jpg")]
    assert machine.failures() == {items[poison]: (1, code)}
    assert {str(event.item_id) for event in machine.events("MediaProbed")} == {*items.values()} - {items[poison]}
    (failed,) = machine.events("StepFailed")
    assert failed.run_id == run.result.run_id
    assert machine.counts().failed == 1
    assert machine.breaker() is None
    assert machine.marked(poison) == 3  # in batches of 4, of 2 and alone


def test_a_file_that_kills_five_times_is_dead(machine: Machine) -> None:
    machine.configure(MEDIA_RETRY_BASE_SECONDS="0.001", MEDIA_RETRY_MAX_SECONDS="0.001")
    machine.deploy(HANDLER)
    machine.upload("exit.jpg")
    for _ in range(6):
        assert machine.run().failure is None
    assert machine.marked("exit.jpg") == 5
    assert machine.counts().dead == 1
    assert len(machine.events("StepAbandoned")) == 1


def test_a_function_whose_time_runs_out_keeps_what_it_did(machine: Machine) -> None:
    # The shared runtime stops starting files in time: nothing is killed, and nothing is anybody's failure.
    machine.configure(MEDIA_DISPATCH_THREADS="1")
    machine.deploy(
        HANDLER.replace("return StepResult(PROBED)", "time.sleep(0.8); return StepResult(PROBED)"), timeout_seconds=3
    )
    names = [f"{number}.jpg" for number in range(4)]
    machine.upload(*names)
    assert machine.run().failure is None
    assert machine.counts().done == 4
    assert machine.failures() == {}
    assert [machine.marked(name) for name in names] == [1, 1, 1, 1]
    assert not machine.events("StepFailed")
