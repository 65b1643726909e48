"""Each batch is a Pipes session of its own, in a function that stays warm and in tasks that come and go.

`dagster_pipes.open_dagster_pipes` keeps one context a process: the second invocation of a warm function would say "Cannot
send message after pipes context is closed", or read the first one's run id and partition.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import boto3

from media_assets.defs.partitions import key_of
from tests.contract.pipes.machine import DETECT, HOUR, Machine, hours_before, only_lambda
from tests.unit.dispatch.works import request_for, work

# It says where and for whom it runs, in the result and in a message.
PROGRAM = """
import json, os

def process(item, context):
    told = {"pid": os.getpid(), "run": context.run_id, "partition": context.partition_key, "item": item.item_id}
    context.log.info("told " + json.dumps(told))
    return StepResult({"model": json.dumps(told), "detections": []})
"""


def told(machine: Machine) -> dict[str, Any]:
    """What was said of each upload's batch, by the upload's name."""
    return {name: json.loads(payload.model) for name, payload in machine.done().items()}


def test_batches_and_runs_follow_each_other_without_a_trace(machine: Machine) -> None:
    machine.batches_of(2)
    machine.deploy(PROGRAM)
    runs = {}
    for number in range(2):
        hour = hours_before(number)
        names = [f"{number}-{n}" for n in range(4)]
        machine.upload(*names, at=hour)
        run = machine.run([hour])
        assert run.failure is None
        runs[run.result.run_id] = (key_of(hour), names, run.messages)

    # A function was warm: 4 invocations, one process. A task is a process.
    assert len({each["pid"] for each in told(machine).values()}) == (1 if machine.target == "lambda" else 4)
    for run_id, (partition, names, messages) in runs.items():
        assert {(told(machine)[name]["run"], told(machine)[name]["partition"]) for name in names} == {(run_id, partition)}
        mine = [message for message in messages if message.startswith("told ")]
        assert len(mine) == len(names)
        assert all(run_id in message for message in mine)
        opened = Counter(message for message in messages if "successfully opened dagster pipes" in message)
        assert opened.total() == 2  # one session a batch
        assert not [message for message in messages if "closed" in message]


def test_batches_side_by_side_keep_their_messages_apart(machine: Machine) -> None:
    machine.batches_of(2, threads=3)
    machine.deploy(PROGRAM)
    names = [str(number) for number in range(12 if machine.target == "lambda" else 6)]
    machine.upload(*names)
    run = machine.run()
    assert run.failure is None
    mine = [message for message in run.messages if message.startswith("told ")]
    assert len(mine) == len(set(mine)) == len(names)
    assert told(machine).keys() == set(names)
    assert {each["run"] for each in told(machine).values()} == {run.result.run_id}


@only_lambda
def test_a_run_of_several_hours_names_no_single_partition(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    machine.upload("a")
    machine.upload("b", at=hours_before(1))
    run = machine.run([hours_before(1), HOUR])
    assert run.failure is None
    assert {each["partition"] for each in told(machine).values()} == {None}


@only_lambda
def test_a_person_may_invoke_a_function_without_pipes(machine: Machine) -> None:
    machine.deploy(PROGRAM)
    request = request_for([work("detect")], DETECT)
    response = boto3.client("lambda").invoke(
        FunctionName=machine.name, Payload=json.dumps({"request": request.model_dump(mode="json")})
    )
    answer = json.loads(response["Payload"].read())
    assert json.loads(answer["manifest"]["outcomes"][0]["result"]["model"])["run"] is None
    assert answer["messages"] == []
