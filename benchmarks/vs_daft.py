"""vs_daft: photos to thumbnails, analyses, detections and embeddings, against Daft with two worker processes.

Ours is the running stack, from the first PUT until all is committed. Daft finds the photos in the same bucket, and writes the
same objects there and the same rows into the same Postgres (benchmarks/read_models.py), by the same step functions.
BENCH_PHOTOS takes fewer than 1,000 photos, BENCH_ROUNDS more than one pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg

from benchmarks.bare import make_tables
from benchmarks.figure import PEERS, Figure, Goal, compare
from benchmarks.peer import expect_same_versions, peer
from benchmarks.photos import kept_photos
from benchmarks.running_stack import running_stack

PHOTOS = 1_000
WARM_UP = 16
GOAL = Goal("≥", 1.0)
_SCHEMA = "daft"
_PREFIX = "bench-daft/"
"""Not below uploads/: nothing of it comes to the stack's notice."""


def run() -> Iterator[Figure]:
    expect_same_versions()
    photos = kept_photos(int(os.environ.get("BENCH_PHOTOS", PHOTOS)))
    ours: list[float] = []
    against: list[float] = []
    with running_stack() as stack:
        owner_url = stack.environment["MEDIA_OWNER_DATABASE_URL"]
        with psycopg.connect(owner_url) as connection:
            make_tables(connection, owner_url, _SCHEMA)
        for number, photo in enumerate(photos):
            for prefix in (_PREFIX, f"warm-{_PREFIX}")[: 2 if number < WARM_UP else 1]:
                stack.s3.put_object(Bucket=stack.settings.bucket, Key=prefix + photo.name, Body=photo.read_bytes())

        environment = {**stack.environment, "DO_NOT_TRACK": "true"}
        with peer(PEERS / "bin" / "python", "benchmarks.daft_worker", environment) as daft:

            def seconds(prefix: str, count: int) -> float:
                bucket = stack.settings.bucket
                return float(daft.ask(bucket=bucket, prefix=prefix, dsn=owner_url, schema=_SCHEMA, photos=count))

            stack.seconds(photos[:WARM_UP])
            seconds(f"warm-{_PREFIX}", min(WARM_UP, len(photos)))
            for _ in range(int(os.environ.get("BENCH_ROUNDS", "1"))):
                ours.append(len(photos) / stack.seconds(photos))
                against.append(len(photos) / seconds(_PREFIX, len(photos)))
    yield compare("vs_daft", f"{len(photos):,} photos", "files/s", ours, against, GOAL)
