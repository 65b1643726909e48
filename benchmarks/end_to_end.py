"""end_to_end: distinct photos of 1 to 12 megapixels from their PUT until all that is computed of them is committed.

Ours is the whole way: S3, notification, sensor, queued runs, dispatch, remote steps, log and read models, on a stack that
has done some photos before. Against `bare` (benchmarks/bare.py): the same steps of the same photos in a pool of processes
on local files. BENCH_PHOTOS takes fewer than 1,000 photos, BENCH_ROUNDS more than one pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks import bare
from benchmarks.figure import Figure, Goal, compare
from benchmarks.photos import MemoryWatch, kept_photos
from benchmarks.running_stack import running_stack

PHOTOS = 1_000
WARM_UP = 16
MOST_MEMORY_MB = 400
GOAL = Goal("≥", 0.8)


def run() -> Iterator[Figure]:
    photos = kept_photos(int(os.environ.get("BENCH_PHOTOS", PHOTOS)))
    ours: list[float] = []
    against: list[float] = []
    largest: list[float] = []
    with running_stack() as stack, bare.pool(stack.environment["MEDIA_OWNER_DATABASE_URL"], os.cpu_count() or 1) as pool:
        stack.seconds(photos[:WARM_UP])
        for _ in range(int(os.environ.get("BENCH_ROUNDS", "1"))):
            watch = MemoryWatch(stack.mark)
            watch.start()
            ours.append(len(photos) / stack.seconds(photos))
            watch.ended.set()
            watch.join()
            largest.append(watch.largest)
            against.append(len(photos) / pool.seconds(photos))
    yield compare("end_to_end", f"{len(photos):,} photos, against bare", "files/s", ours, against, GOAL)
    yield compare(
        "end_to_end",
        f"largest process of Dagster's, {len(photos):,} photos, against {MOST_MEMORY_MB} MB",
        "MB",
        largest,
        [MOST_MEMORY_MB] * len(largest),
        Goal("≤", 1.0),
    )
