"""sensor_tick: ten thousand notifications drained by the upload sensor, and what a tick costs that finds nothing to do.

Notifications are real: ten thousand PUTs of a few bytes, the emulator's queue, the sensor's own code evaluated tick after
tick in a process of its own, whose memory must not grow.

An idle tick is both sensors that ask for runs, on an empty queue and a log whose items are all done. Against it stands the
sensor of Dagster's documented pattern (benchmarks/stock_dagster), which lists the bucket's keys and looks which of them are
partitions already. Both at 10,000 and at 100,000 keys; BENCH_KEYS takes another number for the latter, whose PUTs take most
of the time. Listing is the emulator's here: S3 answers a page of a thousand keys in some 100 ms.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.figure import Figure, Goal, compare
from benchmarks.many_events import fill
from benchmarks.running_stack import RunningStack, running_stack
from benchmarks.server import Server
from media_assets.eventlog.migrate import upgrade
from media_assets.local.postgres import EmbeddedPostgres

FEW = 10_000
MANY = int(os.environ.get("BENCH_KEYS", "100000"))
DRAINED_IN_SECONDS = 60
IDLE_TICKS = 7
LISTING_TICKS = 3
_EVENTS_AN_ITEM = 5
_PUTS_AT_ONCE = 4


def run() -> Iterator[Figure]:
    with running_stack(dagster=False) as stack:
        stack.run_module("benchmarks.ticking", "idle", 1)
        _put(stack, 0, FEW)
        yield from _drained(_ticks(stack, "drain"))
        listing = [_seconds(_ticks(stack, "list", LISTING_TICKS + 1, STOCK_BUCKET=stack.settings.bucket))]
        _put(stack, FEW, MANY)
        stack.sqs.purge_queue(QueueUrl=stack.settings.upload_queue_url)
        listing.append(_seconds(_ticks(stack, "list", LISTING_TICKS + 1, STOCK_BUCKET=stack.settings.bucket)))
        idle = [_seconds(_ticks(stack, "idle", IDLE_TICKS + 1, DATABASE_URL=_all_done(stack, keys))) for keys in (FEW, MANY)]
    for keys, ours, theirs in zip((FEW, MANY), idle, listing, strict=True):
        pairs = [1000 * each for each in ours[:LISTING_TICKS]], [1000 * each for each in theirs]
        yield compare("sensor_tick", f"idle, {keys:,} keys, against listing them", "ms", *pairs, Goal("≤", 1.0))
    yield compare(
        "sensor_tick",
        f"idle, {MANY:,} keys against {FEW:,}",
        "ms",
        [1000 * each for each in idle[1]],
        [1000 * each for each in idle[0]],
        Goal("≤", 1.2),
    )


def _drained(ticks: list[dict[str, Any]]) -> Iterator[Figure]:
    """The last tick finds nothing. Raises AssertionError if a notification is missing."""
    arrived = sum(tick["arrived"] for tick in ticks)
    if arrived != FEW:
        raise AssertionError(f"{arrived} of {FEW} notifications arrived")
    variant = f"{FEW:,} notifications drained in {len(ticks) - 1} ticks, against {DRAINED_IN_SECONDS} s"
    seconds = sum(tick["seconds"] for tick in ticks)
    yield compare("sensor_tick", variant, "s", [seconds], [DRAINED_IN_SECONDS], Goal("≤", 1.0))
    memory = [tick["rss_mb"] for tick in ticks]
    yield compare("sensor_tick", "memory after the last tick, against the first", "MB", memory[-1:], memory[:1], Goal("≤", 1.1))


def _put(stack: RunningStack, first: int, end: int) -> None:
    s3, bucket = stack.s3, stack.settings.bucket

    def put(number: int) -> None:
        s3.put_object(Bucket=bucket, Key=f"uploads/bench/{number:07d}.jpg", Body=b"small")

    with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
        for _ in pool.map(put, range(first, end)):
            pass


def _all_done(stack: RunningStack, items: int) -> str:
    """A database with a log of as many items, all done; its address for the application's role."""
    postgres = Server(EmbeddedPostgres(stack.folder / "postgres", stack.folder / "logs" / "postgres.log"))
    name = f"done_{items}"
    postgres.create(name)
    upgrade(postgres.owner_url(name))
    fill(postgres, name, items * _EVENTS_AN_ITEM)
    # Those lives end with a vector; what is due besides is taken as done.
    postgres.run(name, "UPDATE steps SET state = 'done' WHERE state = 'pending'", "VACUUM (ANALYZE) steps")
    return postgres.application_url(name)


def _ticks(stack: RunningStack, what: str, *count: int, **environment: str) -> list[dict[str, Any]]:
    """Ticks that don't wait for an upload."""
    told = stack.run_module("benchmarks.ticking", what, *count, MEDIA_SENSOR_WAIT_SECONDS="0", **environment)
    return [json.loads(line) for line in told.splitlines()]


def _seconds(ticks: list[dict[str, Any]]) -> list[float]:
    """Without the first, which opens connections."""
    return [tick["seconds"] for tick in ticks[1:]]
