"""A warm function is invoked again and again; each invocation is a Pipes session of its own.

`dagster_pipes.open_dagster_pipes` keeps one context a process: the second invocation of a warm function would say "Cannot
send message after pipes context is closed", or read the first one's run id and partition.
"""

from __future__ import annotations

import json
from collections import Counter

import boto3

from media_assets.defs.partitions import key_of
from tests.contract.pipes.conftest import HOUR, PROBED, Machine, hours_before
from tests.unit.dispatch.works import request_for, work

# It says where and for whom it runs, in the result and in a message.
HANDLER = (
    PROBED
    + """
import json, os
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepResult

def process(item, context):
    told = {"pid": os.getpid(), "run": context.run_id, "partition": context.partition_key, "item": item.item_id}
    context.log.info("told " + json.dumps(told))
    return StepResult({**PROBED, "exif": told})

handler = lambda_handler("probe", process)
"""
)


def told(machine: Machine) -> dict[str, dict[str, object]]:
    """What the function said of each item's invocation, by item id."""
    return {str(event.item_id): event.payload.exif for event in machine.events("MediaProbed")}  # type: ignore[attr-defined]


def test_one_warm_process_serves_many_batches_and_runs(machine: Machine) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="1", MEDIA_BATCH_MAX_ITEMS="2")
    machine.deploy(HANDLER)
    runs = {}
    for number in range(3):
        hour = hours_before(number)
        items = machine.upload(*(f"{number}-{n}.jpg" for n in range(6)), at=hour)
        run = machine.run([hour])
        assert run.failure is None
        runs[run.result.run_id] = (key_of(hour), items, run.messages)

    assert len({each["pid"] for each in told(machine).values()}) == 1  # it was warm: 9 invocations, one process
    for run_id, (partition, items, messages) in runs.items():
        assert {(told(machine)[item]["run"], told(machine)[item]["partition"]) for item in items} == {(run_id, partition)}
        mine = [message for message in messages if message.startswith("told ")]
        assert len(mine) == 6
        assert all(run_id in message for message in mine)
        opened = Counter(message for message in messages if "successfully opened dagster pipes" in message)
        assert opened.total() == 3  # one session a batch
        assert not [message for message in messages if "closed" in message]


def test_invocations_side_by_side_keep_their_messages_apart(machine: Machine) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="4", MEDIA_BATCH_MAX_ITEMS="2")
    machine.deploy(HANDLER)
    items = machine.upload(*(f"{number}.jpg" for number in range(24)))
    run = machine.run()
    assert run.failure is None
    mine = [message for message in run.messages if message.startswith("told ")]
    assert len(mine) == len(set(mine)) == 24
    assert told(machine).keys() == set(items)
    assert {each["run"] for each in told(machine).values()} == {run.result.run_id}


def test_a_run_of_several_hours_names_no_single_partition(machine: Machine) -> None:
    machine.deploy(HANDLER)
    machine.upload("a.jpg")
    machine.upload("b.jpg", at=hours_before(1))
    run = machine.run([hours_before(1), HOUR])
    assert run.failure is None
    assert len(told(machine)) == 2


def test_a_person_may_invoke_it_without_pipes(machine: Machine) -> None:
    machine.deploy(HANDLER)
    request = request_for([work()])
    response = boto3.client("lambda").invoke(
        FunctionName=machine.function_name, Payload=json.dumps({"request": request.model_dump(mode="json")})
    )
    answer = json.loads(response["Payload"].read())
    assert answer["manifest"]["outcomes"][0]["result"]["exif"]["run"] is None
    assert answer["messages"] == []
