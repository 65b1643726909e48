"""Drains the upload queue into the event log and asks for runs."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dagster import (
    AssetMaterialization,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from media_assets.defs.jobs import JOBS
from media_assets.defs.partitions import key_of
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.runs import requests_for_due_work
from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.incarnations import receive_uploads
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.uploads.notifications import NotificationError, uploads_in

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_APPEND_AT_ONCE = 200
_MORE_SECONDS = 1
"""How long the queue is asked for more once it has answered nothing: an upload seldom comes alone, and S3 tells of each by
itself."""
_TRICKLE_SECONDS = 3
"""When uploads come one by one without an end, those of so long are appended."""


@dataclass
class Drained:
    """What a tick took from the queue: new uploads by hour, and messages that nobody can read (left for the DLQ)."""

    arrived: Counter[datetime] = field(default_factory=Counter)
    messages: int = 0
    unreadable: list[str] = field(default_factory=list)


def drain_queue(
    sqs: "SQSClient",
    queue_url: str,
    store: EventStore,
    *,
    first_hour: datetime,
    budget_seconds: float,
    wait_seconds: int = 0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Drained:
    """Append the queue's uploads in bulk and delete messages only after the append has committed.

    Dying anywhere loses nothing: a message that comes again is a repeat of a fact. Waits up to `wait_seconds` (20 at most)
    for a first message, so that an upload is taken up as it comes. From then on it stops after `budget_seconds` (a tick of
    more than 60 s is killed) or when the queue has been empty for a second, or holds one
    message at a time; without `wait_seconds`, when it is empty.
    """
    store.head()  # raises while the database is down: a message received five times in vain moves to the dead letters
    drained = Drained()
    deadline = time.monotonic() + budget_seconds
    empty = False
    patience = wait_seconds
    began: float | None = None
    while not empty and time.monotonic() < deadline:
        events: list[NewEvent] = []
        receipts: list[str] = []
        while len(receipts) < _APPEND_AT_ONCE and time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=patience)
            messages = answer.get("Messages", [])
            if not messages:
                empty = True
                break
            if began is None:
                began = time.monotonic()
                patience = min(patience, _MORE_SECONDS)
                deadline = began + budget_seconds
            for message in messages:
                try:
                    events.extend(uploads_in(message["Body"], first_hour=first_hour, now=now()))
                    receipts.append(message["ReceiptHandle"])
                except NotificationError as error:
                    drained.unreadable.append(str(error))
            if len(messages) == 1 and time.monotonic() - began > _TRICKLE_SECONDS:
                empty = True
                break
        for event in receive_uploads(store, events):
            if isinstance(event.payload, UploadReceived):
                drained.arrived[event.payload.hour] += 1
        for start in range(0, len(receipts), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts[start : start + 10])
            ]
            sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)  # type: ignore[arg-type]
        drained.messages += len(receipts)
    return drained


@sensor(
    jobs=list(JOBS.values()),
    minimum_interval_seconds=get_settings().upload_sensor_interval_seconds,
    default_status=DefaultSensorStatus.RUNNING,
    description="Uploads that S3 notifies of: into the event log, then runs for every hour with due work.",
)
def s3_upload_sensor(context: SensorEvaluationContext, media: MediaResource) -> SensorResult:
    settings = media.settings
    drained = drain_queue(
        media.sqs,
        settings.upload_queue_url,
        media.store,
        first_hour=settings.first_hour,
        budget_seconds=settings.upload_sensor_budget_seconds,
        wait_seconds=settings.sensor_wait_seconds,
    )
    for problem in drained.unreadable:
        context.log.error(f"message left on the queue: {problem}")
    return SensorResult(
        asset_events=[
            AssetMaterialization("uploads", partition=key_of(hour), metadata={"arrived": arrived})
            for hour, arrived in sorted(drained.arrived.items())
        ],
        run_requests=requests_for_due_work(media.store.engine, context.instance),
    )
