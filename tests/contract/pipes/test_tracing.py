"""What a worker is told of the batch it gets, and what comes of it: ids from the upload to the event and back."""

from __future__ import annotations

import json

from tests.contract.pipes.machine import Machine

# Logs what Dagster passed on beside the request.
PROGRAM = """
import json
from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, decode_param

def edit(event, answer):
    *others, closed = answer["messages"]
    extras = decode_param(event[DAGSTER_PIPES_CONTEXT_ENV_VAR])["data"]["extras"]
    said = {**closed, "method": "log", "params": {"message": json.dumps({"extras": extras}), "level": "INFO"}}
    return {**answer, "messages": [*others, said, closed]}
"""


def test_ids_go_from_the_upload_to_the_worker_and_into_the_event(machine: Machine) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload("a", "b", "c")
    run = machine.run()
    assert run.failure is None

    (extras,) = (json.loads(message)["extras"] for message in run.messages if message.startswith('{"extras"'))
    uploads = {str(event.event_id) for event in machine.events("UploadReceived")}
    assert set(extras) == {"batch_id", "attempt_id", "items", "correlation_ids"}
    assert (extras["items"], set(extras["correlation_ids"])) == (3, uploads)

    found = machine.events("DetectionsCompleted")
    assert {(event.run_id, event.attempt_id) for event in found} == {(run.result.run_id, extras["attempt_id"])}
    assert {(event.target, event.target_reason) for event in found} == {
        (machine.target, {"lambda": "few_items", "ecs": "many_items"}[machine.target])
    }
    assert {str(event.correlation_id) for event in found} == uploads
    assert {event.causation_id for event in found} == {event.event_id for event in machine.events("ThumbnailCreated")}

    (figures,) = (json.loads(message) for message in run.messages if message.startswith('{"step"'))
    assert (figures["batch_id"], figures["attempt_id"]) == (extras["batch_id"], extras["attempt_id"])
    assert "uploads/" not in json.dumps(extras)
