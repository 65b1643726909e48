"""Targets that are down, or forbidden, or not there: the run fails with AWS's own reason, and no file is blamed."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.contract.pipes.front import Call
from tests.contract.pipes.machine import MARKS, Machine, only_ecs, only_lambda

PROGRAM = (
    MARKS
    + """
def process(item, context):
    mark(item)
    if "unready" in item.key and context.attempt == 1:
        raise StepError(ErrorCode.NOT_STARTED, "the invocation's time ran out before this file's turn")
    if "outage" in item.key:
        raise StepError(ErrorCode.STORAGE_UNAVAILABLE, "S3 answered SlowDown")
    return StepResult({"model": "test", "detections": []})
"""
)


def test_what_wasnt_started_goes_out_again_without_an_attempt(machine: Machine) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("unready", "a")
    assert machine.run().failure is None
    assert [machine.marked(name) for name in ("unready", "a")] == [2, 1]
    assert machine.failures() == {}
    assert machine.counts().done == 2


def test_an_outage_behind_the_step_costs_no_attempt(machine: Machine) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("outage", "a")
    run = machine.run()
    assert run.failure is not None
    assert "TargetUnavailableError: storage_unavailable: S3 answered SlowDown" in run.failure
    assert machine.failures() == {}
    assert machine.counts().done == 1


def repeats_until(machine: Machine, reason: str, times: int = 2) -> None:
    """Runs fail for a reason, each time only after the breaker has closed."""
    for number in range(1, times + 1):
        run = machine.run()
        assert run.failure is not None
        assert run.failure.startswith("TargetUnavailableError")
        assert reason in run.failure
        breaker = machine.breaker()
        assert breaker is not None
        assert breaker.failures == number
        assert not machine.is_due()
        machine.let_time_pass()
        assert machine.is_due()
    assert machine.outcomes() == []
    assert machine.parcels() == []
    assert machine.counts().running == 0


def test_a_target_that_cant_be_reached_is_an_outage(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    machine.upload("a", "b")
    variable = f"AWS_ENDPOINT_URL_{machine.target.upper()}"
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        machine.configure(**{variable: f"http://127.0.0.1:{taken.getsockname()[1]}"})
        repeats_until(machine, "EndpointConnectionError")
    machine.environment.delenv(variable)
    assert machine.run().failure is None
    assert machine.counts().done == 2
    assert machine.breaker() is None


def test_a_target_that_isnt_there_is_an_outage(machine: Machine) -> None:
    machine.upload("a", "b")
    reasons = {"lambda": "ResourceNotFoundException", "ecs": "RunTask: ClientException: Unable to find task definition"}
    repeats_until(machine, reasons[machine.target])
    machine.deploy(PROGRAM)
    assert machine.run().failure is None


@pytest.mark.parametrize(
    "program",
    ["import a_package_that_nobody_has", "def edit(event, answer): raise KeyError('a fault of the whole')"],
    ids=["import", "exception"],
)
def test_one_that_fails_whatever_it_is_given_is_an_outage(machine: Machine, program: str) -> None:
    machine.deploy(program)
    machine.upload("a", "b")
    died_first = machine.target == "ecs" and "import" in program
    repeats_until(machine, "ended before it began, with exit code 1" if died_first else "failed as a whole", times=1)


def test_the_worker_of_another_step_is_an_outage(machine: Machine) -> None:
    machine.deploy(
        """
        from lambdas.runtime import batch
        work_off = batch.work_off
        batch.work_off = lambda event, step, *more: work_off(event, "thumbnail", *more)
        """
    )
    machine.upload("a", "b")
    repeats_until(machine, "failed as a whole", times=1)


@only_lambda
def test_a_function_that_stays_throttled_is_an_outage(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    machine.upload("a", "b")
    machine.reserve(0)
    repeats_until(machine, "TooManyRequestsException", times=1)
    machine.reserve(None)
    assert machine.run().failure is None
    assert machine.counts().done == 2


@only_lambda
def test_an_invocation_that_is_throttled_for_a_moment_is_tried_again(machine: Machine) -> None:
    machine.by_way_of_the_front("lambda")
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("a", "b")
    invoke = f"POST /2015-03-31/functions/{machine.name}/invocations"
    machine.front.refuse(invoke, "TooManyRequestsException", "Rate Exceeded.", times=2)
    assert machine.run().failure is None
    assert machine.counts().done == 2
    first, *others = machine.front.asked(invoke)
    assert [call.body for call in others] == [first.body] * 2  # one attempt, with one id


@only_ecs
@pytest.mark.parametrize("refusal", ["ThrottlingException", "Capacity is unavailable at this time", "RESOURCE:MEMORY"])
def test_a_task_that_is_refused_for_a_moment_is_tried_again(machine: Machine, refusal: str) -> None:
    machine.by_way_of_the_front("ecs")
    machine.deploy(PROGRAM)
    machine.upload("a")
    if refusal == "ThrottlingException":
        machine.front.refuse("RunTask", refusal, "Rate exceeded", times=1)
    else:
        machine.front.answer("RunTask", {"tasks": [], "failures": [{"arn": "x", "reason": refusal}]}, times=1)
    run = machine.run()
    assert run.failure is None
    assert machine.counts().done == 1
    assert any("tried again in" in message for message in run.messages)
    first, again = (call.parameters for call in machine.front.asked("RunTask"))
    assert first == again  # one attempt, with one id


@only_ecs
def test_parameters_of_run_task_dont_grow_from_call_to_call(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs")
    machine.batches_of(1)
    machine.deploy(PROGRAM)
    machine.upload("a", "b", "c")
    assert machine.run().failure is None
    first, *others = (call.parameters for call in machine.front.asked("RunTask"))
    assert [shape(each) for each in others] == [shape(first)] * 2
    assert len({each["clientToken"] for each in (first, *others)}) == 3


def shape(value: Any) -> Any:
    """What is left of parameters without the values."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


@only_ecs
@pytest.mark.parametrize("reason", ["MISSING", "ATTRIBUTE"])
def test_any_other_failure_of_run_task_fails_the_run_with_its_reason(machine: Machine, reason: str) -> None:
    machine.by_way_of_the_front("ecs")
    machine.deploy(PROGRAM)
    machine.upload("a", "b")
    machine.front.answer("RunTask", {"tasks": [], "failures": [{"arn": "x", "reason": reason, "detail": "of nothing"}]})
    repeats_until(machine, f"RunTask: {reason} of nothing", times=1)
    assert len(machine.front.asked("RunTask")) <= 2  # of two batches, once each


@only_ecs
def test_a_cluster_that_isnt_there_fails_the_run_with_its_reason(machine: Machine) -> None:
    machine.by_way_of_the_front("ecs")
    machine.deploy(PROGRAM)
    machine.upload("a")

    def elsewhere(call: Call, ask: Any) -> Any:
        """The emulator makes any cluster that is named, but knows none of another region."""
        parameters = {**call.parameters, "cluster": "arn:aws:ecs:eu-west-1:000000000000:cluster/none"}
        return ask(Call(call.method, call.path, _without_length(call), json.dumps(parameters).encode()))

    machine.front.on("RunTask", elsewhere)
    repeats_until(machine, "RunTask: ClusterNotFoundException: Cluster not found.", times=1)


def _without_length(call: Call) -> dict[str, str]:
    return {name: value for name, value in call.headers.items() if name != "content-length"}


@only_ecs
@pytest.mark.parametrize("fault", ["command", "secret"])
def test_a_task_that_cant_start_is_an_outage_of_ecs(machine: Machine, fault: str) -> None:
    secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:no-such-secret-abcdef"
    container: dict[str, Any]
    container = {"command": ["no-such-program"]} if fault == "command" else {"secrets": [{"name": "KEY", "valueFrom": secret}]}
    machine.deploy(PROGRAM, **container)
    machine.upload("a", "b")
    repeats_until(machine, "could not start: ResourceInitializationError", times=1)


@pytest.mark.parametrize("what", ["the object of a result", "messages", "answer"])
def test_what_s3_forbids_dispatch_to_read_fails_the_run(machine: Machine, what: str) -> None:
    machine.by_way_of_the_front("s3")
    machine.batches_of(8)
    machine.deploy(
        """
        def process(item, context):
            told = context.storage.write(item.bucket, item.output_prefix + "told", b"the truth", "text/plain")
            return StepResult({"model": "test", "detections": []}, (told,))

        def edit(event, answer):
            return {**answer, "padding": "x" * 6_000_000}  # too large for a function to answer with
        """
    )
    machine.upload("a")
    if what == "the object of a result":
        machine.front.forbid(lambda operation: "/derived/" in operation)
    else:
        machine.front.forbid(lambda operation: operation.startswith("GET ") and f"/{what}" in operation)
    if what == "messages" and machine.target == "lambda":
        assert machine.run().failure is None  # a function's messages are in its answer
        return
    repeats_until(machine, "S3 answered 403" if "object" in what else "S3 answered AccessDenied", times=1)
    assert machine.target == "lambda" or machine.tasks() == []  # nobody would take its answer
