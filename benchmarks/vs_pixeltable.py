"""vs_pixeltable: photos to thumbnails, analyses, detections, embeddings and an index, against Pixeltable's computed columns.

Ours is the running stack, from the first PUT until all is committed. Pixeltable 0.7 gets local files and keeps its thumbnails
in local files; its UDFs are our step functions with their models loaded, its database is its own. BENCH_PHOTOS takes another
number of photos, BENCH_ROUNDS of pairs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import PEERS, Figure, Goal, compare
from benchmarks.peer import Peer, expect_same_versions, peer
from benchmarks.photos import kept_photos
from benchmarks.running_stack import running_stack
from benchmarks.server import BUILD

PHOTOS = 200
ROUNDS = 2
WARM_UP = 16
GOAL = Goal("≥", 1.5)


def run() -> Iterator[Figure]:
    expect_same_versions()
    photos = kept_photos(int(os.environ.get("BENCH_PHOTOS", PHOTOS)))
    ours: list[float] = []
    against: list[float] = []
    with running_stack() as stack, _pixeltable() as pixeltable:
        stack.seconds(photos[:WARM_UP])
        pixeltable.ask(photos=[str(photo) for photo in photos[:WARM_UP]])
        for _ in range(int(os.environ.get("BENCH_ROUNDS", ROUNDS))):
            ours.append(len(photos) / stack.seconds(photos))
            against.append(len(photos) / pixeltable.ask(photos=[str(photo) for photo in photos]))
    yield compare("vs_pixeltable", f"{len(photos):,} photos", "files/s", ours, against, GOAL)


@contextmanager
def _pixeltable() -> Iterator[Peer]:
    """Everything it has is below a folder that is removed with it."""
    BUILD.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-pixeltable-", dir=BUILD))
    thumbnails = folder / "thumbnails"
    thumbnails.mkdir()
    environment = {"PIXELTABLE_HOME": str(folder / "home"), "BENCH_PIXELTABLE_FOLDER": str(thumbnails)}
    try:
        with peer(PEERS / "bin" / "python", "benchmarks.pixeltable_worker", environment) as process:
            yield process
    finally:
        shutil.rmtree(folder)
