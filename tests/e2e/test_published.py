"""What consumers of the running stack hear: a rule on its bus, a queue behind it."""

from __future__ import annotations

import json
from typing import Any

import boto3

from tests.e2e.conftest import SAMPLES, RunningStack


def client(running: RunningStack, service: str) -> Any:
    environment = running.environment
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


def test_a_rule_on_the_bus_hears_of_a_photo_within_seconds(running: RunningStack) -> None:
    events, sqs = client(running, "events"), client(running, "sqs")
    bus = running.environment["MEDIA_EVENT_BUS"]
    queue_url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["media-assets"], "detail": {"user_id": ["listener"]}}
    events.put_rule(Name="listener", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="listener", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    heard: list[Any] = []

    def hears_the_end() -> bool:
        messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
        heard.extend(json.loads(message["Body"]) for message in messages)
        return {each["detail-type"] for each in heard} >= {"EmbeddingStored", "DetectionsCompleted"}

    running.put("uploads/listener/junk.jpg", b"not a photo")
    running.put("uploads/listener/coffee.png", (SAMPLES / "coffee.png").read_bytes())
    running.eventually(hears_the_end)

    by_key = {
        key: sorted(each["detail-type"] for each in heard if each["detail"]["original_key"] == f"uploads/listener/{key}")
        for key in ("junk.jpg", "coffee.png")
    }
    assert by_key == {
        "junk.jpg": ["UploadRejected"],
        "coffee.png": ["AnalysisComplete", "DetectionsCompleted", "EmbeddingStored", "ImageProcessed"],
    }
    [processed] = [each["detail"] for each in heard if each["detail-type"] == "ImageProcessed"]
    thumbnail = running.s3().head_object(Bucket=processed["bucket"], Key=processed["thumbnail_key"])
    assert thumbnail["ContentType"] == "image/webp"
    outbox = running.json("status")["outbox"]
    assert (outbox["held"], outbox["relay_is_at_work"]) == (0, True)
