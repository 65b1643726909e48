"""What a function is told of the batch it gets, and what comes of it: ids from the upload to the event and back."""

from __future__ import annotations

import json

from tests.contract.pipes.conftest import PROBED, Machine

# Logs what Dagster passed on beside the request.
ECHO = (
    PROBED
    + """
import json
from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, decode_param
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepResult

truth = lambda_handler("probe", lambda item, context: StepResult(PROBED))

def handler(event, context):
    answer = truth(event, context)
    opened, *others = answer["messages"]
    extras = decode_param(event[DAGSTER_PIPES_CONTEXT_ENV_VAR])["data"]["extras"]
    said = {**opened, "method": "log", "params": {"message": json.dumps({"extras": extras}), "level": "INFO"}}
    return {**answer, "messages": [opened, said, *others]}
"""
)


def test_ids_go_from_the_upload_to_the_function_and_into_the_event(machine: Machine) -> None:
    machine.configure(MEDIA_DISPATCH_THREADS="1")
    machine.deploy(ECHO)
    machine.upload("a.jpg", "b.jpg", "c.jpg")
    run = machine.run()
    assert run.failure is None

    (extras,) = (json.loads(message)["extras"] for message in run.messages if message.startswith('{"extras"'))
    uploads = {str(event.event_id) for event in machine.events("UploadReceived")}
    assert set(extras) == {"batch_id", "attempt_id", "items", "correlation_ids"}
    assert (extras["items"], set(extras["correlation_ids"])) == (3, uploads)

    probed = machine.events("MediaProbed")
    assert {(event.run_id, event.attempt_id) for event in probed} == {(run.result.run_id, extras["attempt_id"])}
    assert {str(event.correlation_id) for event in probed} == {str(event.causation_id) for event in probed} == uploads

    (figures,) = (json.loads(message) for message in run.messages if message.startswith('{"step"'))
    assert (figures["batch_id"], figures["attempt_id"]) == (extras["batch_id"], extras["attempt_id"])
    assert "uploads/" not in json.dumps(extras)
