"""The runtime that all remote steps share: requests in, manifests out, Pipes messages beside them, S3 underneath."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from dagster_pipes import PipesContext, encode_param

from lambdas.runtime.contract import BatchItem, ErrorCode, Manifest
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import BadRequest, StepContext, StepError, StepResult
from lambdas.thumbnail.handler import handler as thumbnail
from tests.unit.conftest import Bucket, LambdaContext, error, item, outcomes, request


def pipes_event(run_id: str, partition_key: str | None) -> dict[str, str]:
    """What Dagster adds to an event."""
    context = {
        "asset_keys": ["thumbnails"],
        "code_version_by_asset_key": {},
        "provenance_by_asset_key": {},
        "partition_key": partition_key,
        "partition_key_range": {"start": partition_key, "end": partition_key} if partition_key else None,
        "partition_time_window": None,
        "run_id": run_id,
        "job_name": "image_pipeline",
        "retry_number": 0,
        "extras": {},
    }
    return {"DAGSTER_PIPES_CONTEXT": encode_param({"data": context}), "DAGSTER_PIPES_MESSAGES": encode_param({})}


def seen_by_step(item: BatchItem, context: StepContext) -> StepResult:
    context.log.info("looked at %s", item.item_id)
    return StepResult(
        {
            "run_id": context.run_id,
            "partition_key": context.partition_key,
            "attempt": context.attempt,
            "parameters": context.parameters,
            "recipe": context.recipe,
        }
    )


# Pipes


def test_a_warm_function_belongs_to_each_invocations_run_in_turn(bucket: Bucket) -> None:
    """One process, several runs: no invocation sees the one before, and none fails because that one has ended."""
    handler = lambda_handler("look", seen_by_step)
    for run_id, partition_key in [("run-a", "2024-07-14-18:00"), ("run-b", "2024-07-14-19:00"), ("run-c", None)]:
        event = {"request": request("look", {}, item("one")), **pipes_event(run_id, partition_key)}
        answer = handler(event, LambdaContext())

        result = answer["manifest"]["outcomes"][0]["result"]
        assert (result["run_id"], result["partition_key"]) == (run_id, partition_key)
        methods = [message["method"] for message in answer["messages"]]
        assert methods == ["opened", "log", "log", "closed"]
        assert answer["messages"][-1]["params"] == {}
    assert not PipesContext.is_initialized()


def test_after_an_invocation_that_raised_the_next_one_works(bucket: Bucket) -> None:
    def dies(item: BatchItem, context: StepContext) -> StepResult:
        raise SystemExit

    event = {"request": request("look", {}, item("one")), **pipes_event("run-a", None)}
    with pytest.raises(SystemExit):
        lambda_handler("look", dies)(event, LambdaContext())
    answer = lambda_handler("look", seen_by_step)(event, LambdaContext())
    assert answer["manifest"]["outcomes"][0]["result"]["run_id"] == "run-a"


def test_more_messages_than_a_log_tail_holds_all_arrive(bucket: Bucket) -> None:
    items = [item(f"item-{number:03}") for number in range(200)]
    event = {"request": request("look", {}, *items), **pipes_event("run-a", None)}
    answer = lambda_handler("look", seen_by_step)(event, LambdaContext())
    assert len(json.dumps(answer["messages"])) > 4096
    logged = [message["params"]["message"] for message in answer["messages"] if message["method"] == "log"]
    assert logged[:-1] == [f"looked at {one.item_id}" for one in items]
    assert json.loads(logged[-1])["ok"] == 200


def test_without_pipes_a_function_works_by_hand(bucket: Bucket) -> None:
    answer = lambda_handler("look", seen_by_step)({"request": request("look", {}, item("one"))}, LambdaContext())
    assert answer["messages"] == []
    assert answer["manifest"]["outcomes"][0]["result"]["run_id"] is None
    json.dumps(answer)


# Requests and manifests


def test_the_manifest_names_every_item_once_in_order(bucket: Bucket) -> None:
    event = {"request": request("look", {"size": 3}, item("b"), item("a"), item("c"), attempt=2)}
    manifest = Manifest.model_validate(lambda_handler("look", seen_by_step)(event, LambdaContext())["manifest"])

    assert (manifest.batch_id, manifest.attempt_id, manifest.step) == ("batch-1", "batch-1-2", "look")
    assert manifest.memory_mb == 2048
    assert [outcome.item_id for outcome in manifest.outcomes] == ["b", "a", "c"]
    result = manifest.outcomes[0].result
    assert result is not None
    assert (result["attempt"], result["parameters"], result["recipe"]) == (2, {"size": 3}, "0123456789ab")


def test_every_outcome_names_the_upload_that_it_is_for(bucket: Bucket) -> None:
    def process(item: BatchItem, context: StepContext) -> StepResult:
        if item.item_id == "two":
            raise StepError(ErrorCode.CORRUPT, "the pixels are damaged")
        return StepResult({})

    items = [item(name).model_copy(update={"correlation_id": f"upload-{name}"}) for name in ("one", "two", "three")]
    event = {"request": request("look", {}, *items, item("by-hand"))}
    answer = lambda_handler("look", process)(event, LambdaContext(remaining=iter([5000, 400, 5000])))
    outcomes = Manifest.model_validate(answer["manifest"]).outcomes
    assert [one.correlation_id for one in outcomes] == ["upload-one", "upload-two", "upload-three", None]
    assert [one.error and one.error.code for one in outcomes] == [None, ErrorCode.CORRUPT, ErrorCode.NOT_STARTED, None]


def test_the_function_s_log_is_found_by_upload_run_batch_and_attempt(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [item(name).model_copy(update={"correlation_id": f"upload-{name}"}) for name in ("one", "two")]
    event = {"request": request("look", {}, *items), **pipes_event("run-a", "2024-07-14-18:00")}
    answer = lambda_handler("look", seen_by_step)(event, LambdaContext())

    first, last = map(json.loads, capsys.readouterr().err.splitlines())
    for line in (first, last):
        assert (line["run_id"], line["partition_key"]) == ("run-a", "2024-07-14-18:00")
        assert (line["batch_id"], line["attempt_id"]) == ("batch-1", "batch-1-1")
    assert first["correlation_ids"] == ["upload-one", "upload-two"]
    assert last["ok"] == 2
    assert "upload-one" not in json.dumps(answer["messages"])  # Dagster's log has the batch; the event log has the run


def test_an_invocation_that_is_killed_has_said_whose_it_was(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    def dies(item: BatchItem, context: StepContext) -> StepResult:
        raise SystemExit

    traced = item("one").model_copy(update={"correlation_id": "upload-one"})
    with pytest.raises(SystemExit):
        lambda_handler("look", dies)({"request": request("look", {}, traced)}, LambdaContext())
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["attempt_id"], line["correlation_ids"]) == ("batch-1-1", ["upload-one"])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({}, 'the event has no "request"'),
        ({"request": request("other", {}, item("one"))}, "the request is for 'other', this one does 'look'"),
        ({"request": {**request("look", {}, item("one")), "items": []}}, "items: Tuple should have at least 1 item"),
        ({"request": request("look", {}, item("one"), item("one"))}, "names an item twice"),
        ({"request": {"step": "look", "secret": "do-not-log"}}, "batch_id: Field required"),
        ({"request": "look"}, "request: Input should be"),
    ],
)
def test_a_request_that_makes_no_sense_fails_the_invocation(event: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as raised:
        lambda_handler("look", seen_by_step)(event, LambdaContext())
    assert message in str(raised.value)
    assert "do-not-log" not in str(raised.value)


def test_parameters_that_a_step_cannot_use_are_no_files_fault(bucket: Bucket) -> None:
    event = {"request": request("thumbnail", {"sizes": [0], "quality": 80, "do-not-log": 1}, item("one"))}
    with pytest.raises(BadRequest, match="sizes") as raised:
        thumbnail(event, LambdaContext())
    assert "method: Field required" in str(raised.value)


def test_one_bad_file_never_fails_its_neighbours(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    errors: dict[str, Exception] = {
        "rejected": StepError(ErrorCode.CORRUPT, "the pixels are damaged"),
        "paid": StepError(ErrorCode.MODEL_ANSWER_INVALID, "no JSON", tokens_in=900, tokens_out=20),
        "final": StepError(ErrorCode.MODEL_REFUSED, "the model refused", retryable=False),
        "bug": KeyError("holiday in Rome.jpg"),
        "memory": MemoryError(),
    }

    def process(item: BatchItem, context: StepContext) -> StepResult:
        if item.item_id in errors:
            raise errors[item.item_id]
        return StepResult({"fine": True}, tokens_in=5, tokens_out=7)

    event = {"request": request("look", {}, *map(item, [*errors, "fine"])), **pipes_event("run-a", None)}
    answer = lambda_handler("look", process)(event, LambdaContext())

    found = {one.item_id: one for one in Manifest.model_validate(answer["manifest"]).outcomes}
    assert {name: error(one) for name, one in found.items()} == {
        "rejected": (ErrorCode.CORRUPT, "the pixels are damaged", False),
        "paid": (ErrorCode.MODEL_ANSWER_INVALID, "no JSON", True),
        "final": (ErrorCode.MODEL_REFUSED, "the model refused", False),
        "bug": (ErrorCode.STEP_ERROR, "KeyError", True),
        "memory": (ErrorCode.STEP_ERROR, "MemoryError", True),
        "fine": None,
    }
    assert (found["paid"].metrics.tokens_in, found["paid"].metrics.tokens_out) == (900, 20)
    assert (found["fine"].metrics.tokens_in, found["fine"].metrics.tokens_out) == (5, 7)
    assert "test_lambda_runtime.py" in capsys.readouterr().err  # where the bug is, but nothing of the file
    assert "Rome" not in json.dumps(answer)


def test_nothing_of_the_file_reaches_the_function_s_log(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    def process(item: BatchItem, context: StepContext) -> StepResult:
        raise ValueError("holiday in Rome.jpg")

    outcomes(lambda_handler("look", process), "look", {}, item("one"))
    log = capsys.readouterr().err
    assert "Rome" not in log
    assert "uploads/" not in log


def test_metrics_are_measured(bucket: Bucket) -> None:
    def process(item: BatchItem, context: StepContext) -> StepResult:
        context.storage.read(item, 1000)
        time.sleep(0.05)
        return StepResult({})

    found = outcomes(lambda_handler("look", process), "look", {}, bucket.put(b"x" * 700), bucket.put(b"y" * 30))
    assert [one.metrics.bytes_in for one in found] == [700, 30]
    assert all(50 <= one.metrics.milliseconds < 1000 for one in found)


def test_the_whole_invocation_is_billed_and_not_its_items_alone(bucket: Bucket) -> None:
    def process(item: BatchItem, context: StepContext) -> StepResult:
        time.sleep(0.02)
        return StepResult({})

    began = time.monotonic()
    answer = lambda_handler("look", process)({"request": request("look", {}, item("one"), item("two"))}, LambdaContext())
    elapsed = (time.monotonic() - began) * 1000
    manifest = Manifest.model_validate(answer["manifest"])
    assert sum(one.metrics.milliseconds for one in manifest.outcomes) - 1 <= manifest.billed_milliseconds <= elapsed + 1


def test_items_that_time_has_run_out_for_are_not_started(bucket: Bucket) -> None:
    """What is done is kept; what isn't started may be retried. The first item always starts."""
    handler = lambda_handler("look", seen_by_step)
    event = {"request": request("look", {}, item("one"), item("two"), item("three"))}
    answer = handler(event, LambdaContext(remaining=iter([5000, 400])))

    manifest = Manifest.model_validate(answer["manifest"])
    assert [error(one) for one in manifest.outcomes] == [
        None,
        None,
        (ErrorCode.NOT_STARTED, "the invocation's time ran out before this file's turn", True),
    ]


# Processes


@pytest.mark.parametrize("step", ["probe", "thumbnail", "analyze", "embed"])
def test_a_handler_is_imported_in_under_a_second(step: str) -> None:
    """Of CPU time, which other processes don't add to."""
    measure = f"import time; t = time.process_time(); import lambdas.{step}.handler; print(time.process_time() - t)"
    seconds = min(float(subprocess.check_output([sys.executable, "-c", measure])) for _ in range(3))
    assert seconds < 1.0


def test_a_local_worker_lowers_its_priority() -> None:
    measure = "import os; from lambdas.runtime.entrypoint import lambda_handler;lambda_handler('look', None); print(os.nice(0))"
    for niceness, expected in (({"MEDIA_WORKER_NICE": "10"}, 10), ({}, 0)):
        output = subprocess.check_output([sys.executable, "-c", measure], env={"PATH": "", **niceness})
        assert int(output) == expected
