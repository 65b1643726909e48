"""A consumer of the log as others would write it: a rule on the bus and a queue behind it, in the real emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from pydantic import SecretStr

from media_assets.eventlog.published import PUBLISHED
from media_assets.local.emulator import CREDENTIALS, REGION
from media_assets.relay.event_bridge import EventBridge
from media_assets.relay.lag_metric import LagMetric
from media_assets.relay.service import Relay
from media_assets.settings import Settings
from tests import waiting
from tests.conftest import Database

ALL = tuple(PUBLISHED.values())


class Consumer:
    """A bus of its own, and the messages that its rules bring."""

    def __init__(self, endpoint: str, *detail_types: str) -> None:
        self.bus = f"media-assets-{uuid.uuid4().hex[:12]}"
        self._session = boto3.Session(
            CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION
        )
        self._endpoint = endpoint
        self._sqs = self.client("sqs")
        self.events = self.client("events")
        self.events.create_event_bus(Name=self.bus)
        self._queue_url = self._sqs.create_queue(QueueName=self.bus)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["media-assets"], "detail-type": list(detail_types)}
        self.events.put_rule(Name="to-queue", EventBusName=self.bus, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule="to-queue", EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": arn}])

    def client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint)  # type: ignore[call-overload]

    def messages(self) -> list[dict[str, Any]]:
        """Those that came since the last time, in their order."""
        found: list[dict[str, Any]] = []
        while received := self._sqs.receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in received]
            self._sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[{"Id": message["MessageId"], "ReceiptHandle": message["ReceiptHandle"]} for message in received],
            )
        return found


@pytest.fixture
def consumer(aws_endpoint: str) -> Consumer:
    """Gets everything that is published."""
    return Consumer(aws_endpoint, *ALL)


@pytest.fixture
def relay_url(database: Database) -> str:
    return database.owner_url.replace("+psycopg", "").replace("//postgres@", "//media_assets_relay@")


@pytest.fixture
def settings(relay_url: str, consumer: Consumer) -> Settings:
    return Settings(
        relay_database=SecretStr(relay_url), event_bus_name=consumer.bus, retry_base_seconds=0.01, relay_poll_seconds=0.05
    )


@pytest.fixture
def environment(relay_url: str, consumer: Consumer, aws_endpoint: str) -> dict[str, str]:
    """All that a relay is given where it is deployed."""
    return {
        **CREDENTIALS,
        "PATH": os.environ["PATH"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "MEDIA_STAGE": "test",
        "MEDIA_EVENT_BUS": consumer.bus,
        "MEDIA_RELAY_DATABASE_URL": relay_url,
    }


class Zygote:
    """Starts relays as processes of their own, in milliseconds."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.outbox.zygote"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        """A relay's pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("start\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def zygote(environment: dict[str, str]) -> Iterator[Zygote]:
    zygote = Zygote(environment | {"MEDIA_RELAY_POLL_SECONDS": "0.02"})
    yield zygote
    zygote.end()


def relay(settings: Settings, client: Any, consumer: Consumer) -> Relay:
    """A relay to the consumer's bus, by a client of EventBridge."""
    metric = LagMetric(consumer.client("cloudwatch"), "test", print)
    return Relay(settings, EventBridge(client, consumer.bus).put, metric, print)


eventually = partial(waiting.eventually, seconds=30)
