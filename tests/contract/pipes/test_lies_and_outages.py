"""A manifest that doesn't account for its batch, and targets that are down: nothing is appended, no file is blamed."""

from __future__ import annotations

import socket

import pytest

from tests.contract.pipes.conftest import MARKS, PROBED, Machine

# Tells the truth, and has it edited by the lie that a file's name asks for.
LIAR = (
    PROBED
    + MARKS
    + """
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError, StepResult

def process(item, context):
    mark(item)
    if "unready" in item.key:
        raise StepError(ErrorCode.NOT_STARTED, "the invocation's time ran out before this file's turn")
    if "outage" in item.key:
        raise StepError(ErrorCode.STORAGE_UNAVAILABLE, "S3 answered SlowDown")
    return StepResult(PROBED)

truth = lambda_handler("probe", process)

def output(**changes):
    return {"key": "derived/x", "sha256": "ab" * 32, "size_bytes": 1, "content_type": "image/webp", **changes}

def lies(manifest, prefix):
    outcomes = manifest["outcomes"]
    first, *others = outcomes
    return {
        "missing": {"outcomes": others},
        "doubled": {"outcomes": [first, *outcomes]},
        "unasked": {"outcomes": [*outcomes, {**first, "item_id": "00000000-0000-4000-8000-000000000000"}]},
        "elsewhere": {"outcomes": [{**first, "outputs": [output()]}, *others]},
        "digest": {"outcomes": [{**first, "outputs": [output(key=prefix + "x", sha256="d41d8cd9")]}, *others]},
        "whose": {"outcomes": [{**first, "correlation_id": "00000000-0000-4000-8000-000000000000"}, *others]},
        "nobody": {"outcomes": [{**first, "correlation_id": None}, *others]},
        "attempt": {"attempt_id": "an-earlier-one"},
        "batch": {"batch_id": "another"},
        "recipe": {"recipe": "cafecafecafe"},
        "nonsense": {"outcomes": [{**first, "result": {"kind": "sound"}}, *others]},
    }

def handler(event, context):
    answer = truth(event, context)
    items = event["request"]["items"]
    for lie, change in lies(answer["manifest"], items[0]["output_prefix"]).items():
        if any(lie in item["key"] for item in items):
            answer["manifest"].update(change)
    return answer
"""
)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("missing", "answered without item"),
        ("doubled", "answered more than once for item"),
        ("unasked", "answered with unasked item 00000000-0000-4000-8000-000000000000"),
        ("elsewhere", "outside its prefix derived/"),
        ("digest", "malformed manifest: outcomes.0.outputs.0.sha256"),
        ("whose", "answered for correlation_id '00000000-0000-4000-8000-000000000000'"),
        ("nobody", "answered for correlation_id None"),
        ("attempt", "answered for attempt_id 'an-earlier-one'"),
        ("batch", "answered for batch_id 'another'"),
        ("recipe", "answered for recipe 'cafecafecafe'"),
        ("nonsense", "with a result that is not one"),
    ],
)
def test_a_lie_appends_nothing_opens_the_breaker_and_fails_the_run(machine: Machine, lie: str, reason: str) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="1")
    machine.deploy(LIAR)
    machine.upload(f"{lie}.jpg", "a.jpg", "b.jpg")
    run = machine.run()
    assert run.failure is not None
    assert run.failure.startswith("ManifestError")
    assert reason in run.failure
    assert len(machine.events("UploadReceived")) == machine.store.head() == 3
    assert machine.failures() == {}
    breaker = machine.breaker()
    assert breaker is not None
    assert (breaker.target, breaker.failures) == ("probe", 1)
    assert not machine.is_due()


def test_what_wasnt_started_goes_out_again_without_an_attempt(machine: Machine) -> None:
    machine.deploy(LIAR.replace('if "unready" in item.key', 'if "unready" in item.key and context.attempt == 1'))
    machine.upload("unready.jpg", "a.jpg")
    assert machine.run().failure is None
    assert [machine.marked(name) for name in ("unready.jpg", "a.jpg")] == [2, 1]
    assert machine.failures() == {}
    assert machine.counts().done == 2


def test_an_outage_behind_the_function_costs_no_attempt(machine: Machine) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="1")
    machine.deploy(LIAR)
    machine.upload("outage.jpg", "a.jpg")
    run = machine.run()
    assert run.failure is not None
    assert "TargetUnavailableError: storage_unavailable: S3 answered SlowDown" in run.failure
    assert machine.failures() == {}
    assert machine.counts().done == 1


def repeats_until(machine: Machine, reason: str, times: int = 6) -> None:
    """Runs fail for a reason, more often than a file may fail, each time only after the breaker has closed."""
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
    assert machine.failures() == {}
    assert machine.store.head() == 2


def test_throttling_is_an_outage(machine: Machine) -> None:
    machine.deploy(LIAR)
    machine.upload("a.jpg", "b.jpg")
    machine.reserve(0)
    repeats_until(machine, "TooManyRequestsException")
    machine.reserve(None)
    assert machine.run().failure is None
    assert machine.counts().done == 2
    assert machine.breaker() is None


def test_an_unreachable_endpoint_is_an_outage(machine: Machine) -> None:
    machine.deploy(LIAR)
    machine.upload("a.jpg", "b.jpg")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        machine.configure(AWS_ENDPOINT_URL_LAMBDA=f"http://127.0.0.1:{taken.getsockname()[1]}")
        repeats_until(machine, "EndpointConnectionError", times=2)
    machine.environment.delenv("AWS_ENDPOINT_URL_LAMBDA")
    assert machine.run().failure is None
    assert machine.counts().done == 2


def test_a_function_that_isnt_there_is_an_outage(machine: Machine) -> None:
    machine.upload("a.jpg", "b.jpg")
    repeats_until(machine, "ResourceNotFoundException", times=2)
    machine.deploy(LIAR)
    assert machine.run().failure is None


@pytest.mark.parametrize("source", ["import a_package_that_nobody_has", "def other(event, context): ..."])
def test_a_function_that_cant_start_is_an_outage(machine: Machine, source: str) -> None:
    machine.deploy(source)
    machine.upload("a.jpg", "b.jpg")
    repeats_until(machine, "failed as a whole", times=2)


def test_a_function_of_another_step_is_an_outage(machine: Machine) -> None:
    machine.deploy(LIAR.replace('lambda_handler("probe"', 'lambda_handler("thumbnail"'))
    machine.upload("a.jpg", "b.jpg")
    repeats_until(machine, "failed as a whole", times=2)
