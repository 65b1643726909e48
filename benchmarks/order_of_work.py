"""order_of_work: how long a new upload takes while a backfill recomputes 500 photos, against an idle stack.

The backfill is one that a person launches in Dagster's UI for the hours of those photos: thumbnails with
`recompute: all`, which asks anew for everything that is computed from them. Then photos are uploaded, one after another,
each timed from its PUT until all that is computed of it is committed. One that ends when the backfill has no work left
counts for nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator

from sqlalchemy import text

from benchmarks.figure import Figure, Goal, compare
from benchmarks.photos import kept_photos
from benchmarks.running_stack import NotDoneError, RunningStack, running_stack
from media_assets.defs.partitions import key_of
from media_assets.local.loopback_http import post_json

PHOTOS = int(os.environ.get("BENCH_PHOTOS", "500"))
UPLOADS = 5
FEWEST = 3
GOAL = Goal("≤", 2.0)
_START_SECONDS = 120
_LAUNCH = """mutation Launch($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""


def run() -> Iterator[Figure]:
    photos = kept_photos(PHOTOS + UPLOADS)
    with running_stack() as stack:
        stack.seconds(photos[:PHOTOS])
        idle = [stack.seconds([photo]) for photo in photos[PHOTOS:]]
        _launch_backfill(stack)
        busy: list[float] = []
        for photo in photos[PHOTOS:]:
            seconds = stack.seconds([photo])
            if not _recomputations(stack):
                break
            busy.append(seconds)
    if len(busy) < FEWEST:
        raise NotDoneError(f"the backfill was over after {len(busy)} uploads; take more photos (BENCH_PHOTOS)")
    # Each is compared with the usual: an upload's time depends on where between two ticks it falls.
    usual = [statistics.median(idle)] * len(busy)
    yield compare("order_of_work", f"an upload during a backfill of {PHOTOS}, against idle", "s", busy, usual, GOAL)


def _launch_backfill(stack: RunningStack) -> None:
    """Returns once its work is due. Raises NotDoneError."""
    with stack.store.engine.connect() as connection:
        hours = connection.execute(text("SELECT DISTINCT hour FROM items ORDER BY hour")).scalars().all()
    parameters = {
        "assetSelection": [{"path": ["thumbnails"]}],
        "partitionNames": [key_of(hour) for hour in hours],
        "runConfigData": {"ops": {"thumbnails": {"config": {"recompute": "all"}}}},
    }
    answer = post_json(
        f"{stack.environment['DAGSTER_URL']}/graphql", {"query": _LAUNCH, "variables": {"parameters": parameters}}
    )
    if answer["data"]["launchPartitionBackfill"]["__typename"] != "LaunchBackfillSuccess":
        raise NotDoneError(f"no backfill: {json.dumps(answer)}")
    deadline = time.monotonic() + _START_SECONDS
    while not _recomputations(stack):
        if time.monotonic() > deadline:
            raise NotDoneError(f"the backfill has asked for nothing after {_START_SECONDS} s; logs in {stack.folder / 'logs'}")
        time.sleep(0.2)


def _recomputations(stack: RunningStack) -> int:
    """Results that are still to be computed anew."""
    with stack.store.engine.connect() as connection:
        return int(
            connection.execute(text("SELECT count(*) FROM steps WHERE state = 'pending' AND recomputation")).scalar_one()
        )
