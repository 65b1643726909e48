"""python -m benchmarks.growing_hour AGO HOURS BLOCKS…: fill hours with files, block by block.

The first hour is AGO hours ago, the next ones are earlier. Prints each hour's seconds, one number a block, as JSON.

Runs in the environment of a stack without Dagster's processes: each block's files are appended as the upload sensor does,
then both pipelines' jobs run for the hour in this process, on the stack's Dagster instance, with their checks.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance

from benchmarks.fixed_answers import FixedAnswers
from media_assets.definitions import defs
from media_assets.defs.jobs import JOBS
from media_assets.defs.partitions import key_of
from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent, hour_of, upload_received
from media_assets.eventlog.incarnations import receive_uploads
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings

_APPEND_AT_ONCE = 200


def main(ago: int, hours: int, *blocks: int) -> None:
    store = EventStore.connect(get_settings().database_url)
    newest = hour_of(datetime.now(UTC))
    with DagsterInstance.get() as instance:
        for number in range(hours):
            hour = newest - timedelta(hours=ago + number)
            seconds, first = [], 0
            for count in blocks:
                seconds.append(_process(store, instance, hour, first, count))
                first += count
            print(json.dumps(seconds), flush=True)


def _process(store: EventStore, instance: DagsterInstance, hour: datetime, first: int, count: int) -> float:
    """Have `count` new files done. Raises AssertionError for a check that doesn't pass."""
    began = time.perf_counter()
    for start in range(first, first + count, _APPEND_AT_ONCE):
        end = min(start + _APPEND_AT_ONCE, first + count)
        receive_uploads(store, [_upload(hour, number) for number in range(start, end)])
    for job in JOBS.values():
        result = defs.resolve_job_def(job.name).execute_in_process(
            instance=instance, partition_key=key_of(hour), resources={"media": FixedAnswers()}
        )
        failed = [each.check_name for each in result.get_asset_check_evaluations() if not each.passed]
        if failed:
            raise AssertionError(f"checks failed: {', '.join(failed)}")
    return time.perf_counter() - began


def _upload(hour: datetime, number: int) -> NewEvent:
    payload = UploadReceived(
        bucket=get_settings().bucket,
        key=f"uploads/bench/{hour:%Y%m%d%H}/{number:06d}.jpg",
        version_id=f"{number:032x}",
        etag=f"{number:032x}",
        size_bytes=20_000,
        sequencer=f"{number:016X}",
        hour=hour,
    )
    return upload_received(payload, user_id="bench", occurred_at=hour)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
