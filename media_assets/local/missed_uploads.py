"""Imports uploads whose notifications are lost: the emulator forgets its queues when it ends, the bucket it keeps."""

from __future__ import annotations

from datetime import datetime

import boto3

from media_assets.eventlog.store import EventStore
from media_assets.local.emulator import CREDENTIALS, REGION
from media_assets.uploads.reconcile import EmptyBucketError, compare, repair


def import_missed_uploads(database_url: str, endpoint_url: str, bucket: str, first_hour: datetime) -> str | None:
    """Make the log agree with the bucket; what is new is then pending like any upload. Returns a line about it, if any.

    `database_url` is an SQLAlchemy URL of the application's role.
    """
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    store = EventStore.connect(database_url)
    try:
        new = repair(store, compare(s3, store.engine, bucket, first_hour=first_hour))
    except EmptyBucketError as error:  # nothing to import; whether that is right is for a person to say
        return str(error)
    finally:
        store.engine.dispose()
    return f"imported {len(new)} changes of the bucket whose notifications were lost" if new else None
