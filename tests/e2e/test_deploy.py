"""The synthesized stack in the real emulator: deployed once, again, with other code, and over buckets that were there."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from lambdas.runtime.contract import answer_key, event_key
from lambdas.runtime.inspection import InspectionRequest
from media_assets.local.container_engine import ContainerEngine
from media_assets.local.deploy import DeploymentError, StackOutputs, deploy, store_model_api_key
from media_assets.local.emulator import CREDENTIALS, REGION, Emulator
from media_assets.local.ports import free_port
from media_assets.local.synth import synthesize
from media_assets.settings import Settings, get_settings
from media_assets.steps.catalogue import STEPS
from tests.unit.eventlog.films import VIDEO

STACK = "media-assets-local"
KEY = "uploads/ann/été + 1.jpg"
ANCHOR = "anchors/000000000042.json"


@dataclass
class Machine:
    """A running emulator and its clients."""

    emulator: Emulator
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        return session.client(service, endpoint_url=self.url, region_name=REGION)  # type: ignore[call-overload]

    def restart(self) -> None:
        self.emulator.stop()
        self.emulator.start(self.port)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    def anchor(self, outputs: StackOutputs) -> str:
        """Writes an anchor; its version."""
        version: str = self.client("s3").put_object(Bucket=outputs.anchor_bucket, Key=ANCHOR, Body=b"anchor")["VersionId"]
        return version

    def refuses_to_delete(self, outputs: StackOutputs, version: str) -> None:
        with pytest.raises(ClientError, match="AccessDenied"):
            self.client("s3").delete_object(Bucket=outputs.anchor_bucket, Key=ANCHOR, VersionId=version)

    def notifications(self, outputs: StackOutputs, count: int) -> list[dict[str, Any]]:
        """The next `count` messages that tell of an upload."""
        sqs = self.client("sqs")
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 10
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} notifications came"
            answer = sqs.receive_message(QueueUrl=outputs.upload_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found += json.loads(message["Body"]).get("Records", [])
                sqs.delete_message(QueueUrl=outputs.upload_queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def assembly() -> Path:
    return synthesize(get_settings().state_dir / "cdk.out")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(Emulator(tmp_path / "emulator", tmp_path / "emulator.log"), free_port())
    machine.emulator.start(machine.port)
    yield machine
    machine.emulator.stop()


def test_a_second_synthesis_is_the_first_one(assembly: Path) -> None:
    start = time.monotonic()
    assert synthesize(assembly.parent) == assembly
    assert time.monotonic() - start < 3


def test_the_stack_gives_a_bucket_a_queue_functions_and_tasks(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)

    assert outputs.bucket == "media-assets-local-000000000000"
    assert outputs.functions == {name: f"{STACK}-{name}" for name in (*STEPS, "inspect")}
    assert (outputs.cluster, outputs.tasks) == (STACK, {name: f"{STACK}-{name}" for name in ("detect", "frames", "segment")})
    assert machine.client("s3").get_bucket_versioning(Bucket=outputs.bucket)["Status"] == "Enabled"
    attributes = machine.client("sqs").get_queue_attributes(QueueUrl=outputs.upload_queue_url, AttributeNames=["All"])[
        "Attributes"
    ]
    dead_letters = outputs.dead_letter_queue_url.rpartition("/")[2]
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(f":{dead_letters}")


def test_the_log_gets_a_bus_and_a_bucket_whose_anchors_nobody_deletes(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    s3 = machine.client("s3")
    version = machine.anchor(outputs)

    assert outputs.event_bus == machine.client("events").describe_event_bus(Name=STACK)["Name"]
    assert outputs.anchor_bucket == "media-assets-local-anchors-000000000000"
    machine.refuses_to_delete(outputs, version)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=outputs.anchor_bucket, Key=ANCHOR, Body=b"another", IfNoneMatch="*")
    uploaded = s3.put_object(Bucket=outputs.bucket, Key=KEY, Body=b"erasable")["VersionId"]
    s3.delete_object(Bucket=outputs.bucket, Key=KEY, VersionId=uploaded)
    assert "Versions" not in s3.list_object_versions(Bucket=outputs.bucket)


def test_every_function_starts_and_answers_for_its_item(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    settings = Settings()
    video = VIDEO.model_dump(mode="json")

    for step in STEPS:
        item = {
            "item_id": "i1",
            "bucket": outputs.bucket,
            "key": "uploads/ann/none.jpg",
            "version_id": "v1",
            "size_bytes": 1,
            "generation": 0,
            "output_prefix": f"derived/i1/{step}/r1/v1/0/",
            "input": {"video": video, "width": 8, "height": 8, "base_text": "Ride!", "context": None, "count": 1},
        }
        request = {
            "batch_id": "b1",
            "attempt_id": "a1",
            "attempt": 1,
            "step": step,
            "recipe": "r1",
            "parameters": {**STEPS[step].parameters(settings), **STEPS[step].limits(settings)},
            "items": [item],
        }
        manifest = machine.invoke(outputs.functions[step], {"request": request})["manifest"]
        assert [outcome["item_id"] for outcome in manifest["outcomes"]] == ["i1"], step
    asked = InspectionRequest(bucket=outputs.bucket, max_bytes=1, max_pixels=1, segments=("processed/none.mp4",))
    (facts,) = machine.invoke(outputs.functions["inspect"], asked.model_dump(mode="json"))["segments"]
    assert facts["problem"] == "an object that an earlier step wrote is missing"


def test_a_task_of_a_deployed_definition_answers_for_its_item(tmp_path: Path, assembly: Path) -> None:
    engine = ContainerEngine(tmp_path / "ecs", tmp_path / "engine.log")
    machine = Machine(Emulator(tmp_path / "emulator", tmp_path / "emulator.log", engine.docker_host), free_port())
    attempt = "a-task-s-attempt"
    try:
        engine.start()
        machine.emulator.start(machine.port)
        outputs = deploy(assembly, endpoint_url=machine.url)
        item = {
            "item_id": "i1",
            "bucket": outputs.bucket,
            "key": KEY,
            "version_id": "v1",
            "size_bytes": 1,
            "generation": 0,
            "output_prefix": "derived/i1/detect/r1/v1/0/",
            "input": {"width": 8, "height": 8, "thumbnails": {"800": "derived/i1/thumbnail/none.webp"}},
        }
        request = {"batch_id": "b1", "attempt_id": attempt, "attempt": 1, "step": "detect", "recipe": "r1", "items": [item]}
        request["parameters"] = STEPS["detect"].parameters(Settings())
        event = json.dumps({"request": request, "task": {"seconds": 60, "memory_mb": 2048}}).encode()
        s3, ecs = machine.client("s3"), machine.client("ecs")
        s3.put_object(Bucket=outputs.bucket, Key=event_key("detect", attempt), Body=event)
        reference = {"bucket": outputs.bucket, "key": event_key("detect", attempt), "sha256": hashlib.sha256(event).hexdigest()}
        override = {"name": "step", "environment": [{"name": "MEDIA_EVENT_OBJECT", "value": json.dumps(reference)}]}

        (task,) = ecs.run_task(
            cluster=outputs.cluster,
            taskDefinition=outputs.tasks["detect"],
            launchType="FARGATE",
            overrides={"containerOverrides": [override]},
        )["tasks"]
        ecs.get_waiter("tasks_stopped").wait(
            cluster=outputs.cluster, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

        answer = json.loads(s3.get_object(Bucket=outputs.bucket, Key=answer_key("detect", attempt))["Body"].read())
        assert [outcome["error"]["code"] for outcome in answer["manifest"]["outcomes"]] == ["step_error"]
        stream = f"detect/step/{task['taskArn'].rpartition('/')[2]}"
        told = machine.client("logs").get_log_events(logGroupName=f"/ecs/{STACK}-detect", logStreamName=stream)["events"]
        assert json.loads(told[0]["message"])["attempt_id"] == attempt
    finally:
        engine.stop()
        machine.emulator.stop()


def test_an_upload_is_told_to_the_queue_and_nothing_else_is(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    s3 = machine.client("s3")

    s3.put_object(Bucket=outputs.bucket, Key="derived/i1/thumbnail/r/v/0/256.webp", Body=b"derived")
    s3.put_object(Bucket=outputs.bucket, Key="previews/sheet.png", Body=b"sheet")
    versions = [s3.put_object(Bucket=outputs.bucket, Key=KEY, Body=body)["VersionId"] for body in (b"A", b"B", b"A")]

    records = machine.notifications(outputs, count=3)
    told = sorted((record["s3"]["object"] for record in records), key=lambda uploaded: uploaded["sequencer"])
    assert [uploaded["versionId"] for uploaded in told] == versions
    assert {uploaded["key"] for uploaded in told} == {"uploads/ann/%C3%A9t%C3%A9+%2B+1.jpg"}


def test_a_browser_sees_a_contact_sheet(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    machine.client("s3").put_object(Bucket=outputs.bucket, Key="previews/sheet.png", Body=b"sheet", ContentType="image/png")

    with urllib.request.urlopen(f"{machine.url}/{outputs.bucket}/previews/sheet.png") as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"sheet", "image/png")


def test_deploying_the_same_again_changes_nothing(machine: Machine, assembly: Path) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    cloudformation = machine.client("cloudformation")
    events = len(cloudformation.describe_stack_events(StackName=STACK)["StackEvents"])

    assert deploy(assembly, endpoint_url=machine.url) == outputs
    assert len(cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]) == events


def test_changed_code_replaces_warm_workers(machine: Machine, assembly: Path, tmp_path: Path) -> None:
    before = _with_handler(assembly, "probe", "def handler(event, context): return 'old'", tmp_path / "before")
    after = _with_handler(assembly, "probe", "def handler(event, context): return 'new'", tmp_path / "after")
    function = deploy(before, endpoint_url=machine.url).functions["probe"]
    assert [machine.invoke(function, {}) for _ in range(2)] == ["old", "old"]

    deploy(after, endpoint_url=machine.url)

    assert [machine.invoke(function, {}) for _ in range(2)] == ["new", "new"]


def test_a_restarted_emulator_gets_its_stack_back_around_the_buckets(machine: Machine, assembly: Path) -> None:
    first = deploy(assembly, endpoint_url=machine.url)
    s3 = machine.client("s3")
    versions = [s3.put_object(Bucket=first.bucket, Key=KEY, Body=body)["VersionId"] for body in (b"one", b"two")]
    machine.notifications(first, count=2)
    anchor = machine.anchor(first)

    machine.restart()
    outputs = deploy(assembly, endpoint_url=machine.url)

    assert outputs == first
    assert machine.client("events").describe_event_bus(Name=outputs.event_bus)["Name"] == STACK
    for version in (anchor, machine.anchor(outputs)):
        machine.refuses_to_delete(outputs, version)
    bodies = [s3.get_object(Bucket=outputs.bucket, Key=KEY, VersionId=version)["Body"].read() for version in versions]
    assert bodies == [b"one", b"two"]
    versions.append(s3.put_object(Bucket=outputs.bucket, Key=KEY, Body=b"three")["VersionId"])
    listed = s3.list_object_versions(Bucket=outputs.bucket)["Versions"]
    assert {version["VersionId"] for version in listed} == set(versions)
    (record,) = machine.notifications(outputs, count=1)
    assert record["s3"]["object"]["versionId"] == versions[-1]


def test_a_stack_that_fails_says_which_resource_and_can_be_deployed_afterwards(
    machine: Machine, assembly: Path, tmp_path: Path
) -> None:
    outputs = deploy(assembly, endpoint_url=machine.url)
    version = machine.client("s3").put_object(Bucket=outputs.bucket, Key=KEY, Body=b"kept")["VersionId"]
    machine.restart()
    broken = tmp_path / "broken"
    shutil.copytree(assembly, broken)
    _edit(broken, '"python3.13"', '"python3.13", "Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:none:1"]')

    with pytest.raises(DeploymentError, match=r"Functions\w+ \(AWS::Lambda::Function\).*layer"):
        deploy(broken, endpoint_url=machine.url)

    assert deploy(assembly, endpoint_url=machine.url) == outputs
    kept = machine.client("s3").get_object(Bucket=outputs.bucket, Key=KEY, VersionId=version)
    assert kept["Body"].read() == b"kept"


def test_a_first_deployment_that_failed_can_be_repeated(machine: Machine, assembly: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(assembly, broken)
    _edit(broken, '"python3.13"', '"python3.13", "Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:none:1"]')
    with pytest.raises(DeploymentError, match="ROLLBACK_COMPLETE"):
        deploy(broken, endpoint_url=machine.url)

    assert deploy(assembly, endpoint_url=machine.url).functions


def test_the_model_api_key_is_where_functions_look_for_it(machine: Machine) -> None:
    for key in ("first", "second"):
        store_model_api_key(SecretStr(key), endpoint_url=machine.url)

    secret = machine.client("secretsmanager").get_secret_value(SecretId=f"{STACK}/model-api-key")
    assert secret["SecretString"] == "second"


def _with_handler(assembly: Path, step: str, source: str, target: Path) -> Path:
    """A copy of the assembly in which the step's function consists of `source`."""
    shutil.copytree(assembly, target)
    (handler,) = target.glob(f"asset.*/lambdas/{step}/handler.py")
    handler.write_text(source)
    asset = handler.parents[2]
    digest = hashlib.sha256(source.encode()).hexdigest()
    asset.rename(target / f"asset.{digest}")
    _edit(target, asset.name.removeprefix("asset."), digest)
    return target


def _edit(assembly: Path, old: str, new: str) -> None:
    """Replaces text in the template and its asset manifest; the template's own key is a digest, so that changes too."""
    template = assembly / f"{STACK}.template.json"
    assert old in template.read_text()
    template.write_text(template.read_text().replace(old, new))
    manifest_file = assembly / f"{STACK}.assets.json"
    manifest = json.loads(manifest_file.read_text().replace(old, new))
    for asset in manifest["files"].values():
        if asset["source"]["path"] == template.name:
            (destination,) = asset["destinations"].values()
            destination["objectKey"] = hashlib.sha256(template.read_bytes()).hexdigest() + ".json"
    manifest_file.write_text(json.dumps(manifest))
