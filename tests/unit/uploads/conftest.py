"""A bucket that notifies a queue, in the emulator, and the log that hears of its uploads."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from sqlalchemy import text

from media_assets.eventlog.store import EventStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

FIRST_HOUR = datetime(2026, 1, 1, tzinfo=UTC)


class Queue:
    """An SQS queue whose messages reappear at once when nobody deletes them."""

    def __init__(self, visibility_seconds: int = 0) -> None:
        self.sqs: SQSClient = boto3.client("sqs")
        self.url = self.sqs.create_queue(
            QueueName=f"uploads-{uuid.uuid4().hex}", Attributes={"VisibilityTimeout": str(visibility_seconds)}
        )["QueueUrl"]

    @property
    def arn(self) -> str:
        return self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def send(self, body: Any) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def length(self) -> int:
        """Messages that are still there, whether somebody is working on them or not."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@dataclass
class UploadBucket:
    """A versioned bucket. Its methods give what they made: version ids."""

    s3: S3Client
    name: str

    def put(self, key: str, body: bytes = b"x") -> str:
        return self.s3.put_object(Bucket=self.name, Key=key, Body=body)["VersionId"]

    def delete(self, key: str, version_id: str | None = None) -> None:
        """Without a version, S3 puts a delete marker in front."""
        if version_id is None:
            self.s3.delete_object(Bucket=self.name, Key=key)
        else:
            self.s3.delete_object(Bucket=self.name, Key=key, VersionId=version_id)

    def notify(self, queue: Queue) -> None:
        self.s3.put_bucket_notification_configuration(
            Bucket=self.name,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": queue.arn,
                        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "uploads/"}]}},
                    }
                ]
            },
        )


@pytest.fixture
def bucket(aws: str) -> UploadBucket:
    name = f"photos-{uuid.uuid4().hex[:12]}"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return UploadBucket(s3, name)


def current_version(store: EventStore, key: str) -> str | None:
    """The version of a key that the read model shows; None if the key's item is removed or unknown."""
    with store.engine.connect() as connection:
        return connection.execute(
            text("SELECT version_id FROM items WHERE key = :key AND state <> 'removed'"), {"key": key}
        ).scalar_one_or_none()
