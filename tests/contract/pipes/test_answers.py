"""What counts is the manifest in the answer; messages travel beside it, all of them, and materialize nothing.

Dagster's own clients parse messages from a log: the last 4 KB of a function's, all of a task's as far as CloudWatch has it by
then. A run whose messages were lost or cut is a success with empty metadata.
"""

from __future__ import annotations

from typing import Any

import pytest
from dagster import AssetKey

from media_assets.dispatch.errors import ManifestError
from tests.contract.pipes.machine import Machine, Run, only_lambda

# Expressions over the good `answer`, with its `manifest` and `messages`. A file's name says which one is the answer.
ANSWERS = {
    "good": "answer",
    "nothing": "None",
    "text": "'done'",
    "messages alone": "{'messages': messages}",
    "a web page": "{'statusCode': 200, 'body': json.dumps(answer)}",
    "null": "{**answer, 'manifest': None}",
    "cut": "{**answer, 'manifest': json.dumps(manifest)[:200]}",
    "a part": "{**answer, 'manifest': {k: v for k, v in manifest.items() if k != 'outcomes'}}",
    "NaN": "{**answer, 'manifest': {**manifest, 'memory_mb': float('nan')}}",
    "messages as text": "{**answer, 'messages': 'all is well'}",
    "messages as null": "{**answer, 'messages': None}",
    "strange messages": "{**answer, 'messages': [*messages, {'method': 'celebrate', 'params': {}}]}",
    "no messages": "{'manifest': manifest}",
    "the last one missing": "{**answer, 'messages': messages[:-1]}",
    "materializations": """{**answer, 'messages': [*messages[:-1], *(
        {'__dagster_pipes_version': '0.1', 'method': 'report_asset_materialization',
         'params': {'asset_key': key, 'metadata': None, 'data_version': None}} for key in ('detections', 'thumbnails'))]}""",
    "an exception": "1 / 0",
    "to the log": "print(json.dumps(answer)) or {}",
}
PROGRAM = f"""
import json

def process(item, context):
    for line in range(100):
        context.log.info(f"line {{line:03}} " + "x" * 100)
    return StepResult({{"model": "test", "detections": []}})

ANSWERS = {ANSWERS!r}

def edit(event, answer):
    name = event["request"]["items"][0]["key"].rsplit("/", 1)[1]
    return eval(ANSWERS[name], {{**globals(), "answer": answer, **answer, "manifest": answer["manifest"]}})
"""


def run_answering(machine: Machine, answer: str, *more: str) -> Run:
    """A run of one batch, which is answered so."""
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload(answer, *more)
    return machine.run()


def materializations(machine: Machine) -> list[dict[str, Any]]:
    """Metadata of every materialization that Dagster has of any asset of ours."""
    found = []
    for asset in ("detections", "thumbnails", "uploads"):
        for event in machine.instance.fetch_materializations(AssetKey(asset), limit=10).records:
            assert event.asset_materialization is not None
            found.append({name: value.value for name, value in event.asset_materialization.metadata.items()})
    return found


def test_more_messages_than_a_log_tail_holds_all_arrive_once(machine: Machine) -> None:
    run = run_answering(machine, "good", "another")
    assert run.failure is None
    lines = [message for message in run.messages if message.startswith("line ")]
    assert lines == [f"line {line:03} {'x' * 100}" for line in range(100)] * 2
    assert sum(map(len, lines)) > 4 * 4096
    (metadata,) = materializations(machine)
    assert (metadata["processed"], metadata["failed"], metadata["rejected"], metadata["pending"]) == (2, 0, 0, 0)


def test_what_is_reported_as_materialized_is_not(machine: Machine) -> None:
    run = run_answering(machine, "materializations")
    assert run.failure is None
    (metadata,) = materializations(machine)
    assert metadata["processed"] == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("to the log", "answered without a manifest"),
        ("cut", "malformed manifest"),
        ("NaN", "aren't JSON"),
        ("messages as text", "message of a kind that Pipes doesn't have"),
        ("strange messages", "message of a kind that Pipes doesn't have"),
    ],
)
def test_an_answer_without_proof_fails_the_run(machine: Machine, answer: str, reason: str) -> None:
    fails(machine, answer, reason)


@only_lambda  # how an answer is read is the same for both
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("nothing", "answered without a manifest"),
        ("text", "answered without a manifest"),
        ("messages alone", "answered without a manifest"),
        ("a web page", "answered without a manifest"),
        ("null", "malformed manifest"),
        ("a part", "malformed manifest"),
        ("messages as null", "message of a kind that Pipes doesn't have"),
    ],
)
def test_other_answers_without_proof_fail_the_run_too(machine: Machine, answer: str, reason: str) -> None:
    fails(machine, answer, reason)


def fails(machine: Machine, answer: str, reason: str) -> None:
    run = run_answering(machine, answer)
    assert run.failure is not None
    assert run.failure.startswith(ManifestError.__name__)
    assert reason in run.failure
    assert materializations(machine) == []
    assert machine.outcomes() == []
    assert machine.breaker() is not None


def test_an_exception_after_the_messages_is_no_success(machine: Machine) -> None:
    run = run_answering(machine, "an exception")
    assert run.failure is not None
    assert run.failure.startswith("TargetUnavailableError")
    assert "failed as a whole" in run.failure
    assert materializations(machine) == []
    assert machine.outcomes() == []


@pytest.mark.parametrize("answer", ["no messages", "the last one missing"])
def test_the_manifest_counts_and_not_the_messages(machine: Machine, answer: str) -> None:
    assert run_answering(machine, answer).failure is None
    assert machine.counts().done == 1
