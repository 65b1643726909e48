"""The bare minimum: the step functions in a pool of processes on local files, rows copied into Postgres. No orchestrator.

It keeps no history, retries nothing and loses what it did when it is killed: as fast as the work itself can be done.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
from sqlalchemy import create_engine

from benchmarks import read_models
from benchmarks.one_photo import Rows, local, process, warm
from benchmarks.server import BUILD
from media_assets.eventlog.embedding_index import ensure_embedding_index
from media_assets.settings import Settings

SCHEMA = "bare"
_PHOTOS_A_TASK = 4
_PHOTOS_A_COPY = 100
_START_SECONDS = 120


class Bare:
    """A pool with its models loaded, a folder for thumbnails, tables for rows."""

    def __init__(self, executor: ProcessPoolExecutor, folder: Path, connection: read_models.Connection) -> None:
        self._executor, self._folder, self._connection = executor, folder, connection

    def seconds(self, photos: Sequence[Path]) -> float:
        """From the first photo until the last row is committed; tables and folder are emptied before.

        Raises StepError for a photo that a step refuses.
        """
        read_models.empty(self._connection, SCHEMA)
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        began = time.perf_counter()
        waiting: list[Rows] = []
        for rows in self._executor.map(partial(_process, self._folder), photos, chunksize=_PHOTOS_A_TASK):
            waiting.append(rows)
            if len(waiting) == _PHOTOS_A_COPY:
                read_models.insert(self._connection, SCHEMA, waiting)
                waiting.clear()
        read_models.insert(self._connection, SCHEMA, waiting)
        took = time.perf_counter() - began
        read_models.expect(self._connection, SCHEMA, len(photos))
        return took


@contextmanager
def pool(owner_url: str, workers: int = 2) -> Iterator[Bare]:
    """Processes that have done a photo already. `owner_url` is libpq's, of a migrated database, which gets a schema."""
    BUILD.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bare-", dir=BUILD))
    spawn = multiprocessing.get_context("spawn")
    all_started = spawn.Barrier(workers + 1)
    try:
        with (
            psycopg.connect(owner_url) as connection,
            ProcessPoolExecutor(workers, spawn, _start, (all_started,)) as executor,
        ):
            make_tables(connection, owner_url, SCHEMA)
            for _ in range(workers):
                executor.submit(_start_another)
            all_started.wait(_START_SECONDS)
            yield Bare(executor, folder, connection)
    finally:
        shutil.rmtree(folder)


def make_tables(connection: read_models.Connection, owner_url: str, schema: str) -> None:
    """The tables of `read_models`, with the vectors' index that a deployment has."""
    settings = Settings(model_provider="local")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(owner_url))
    with engine.begin() as ours:
        ensure_embedding_index(ours, settings.embed_model, settings.embed_dimensions)
    engine.dispose()
    read_models.create(connection, schema)


def _start(all_started: Barrier) -> None:
    warm()
    all_started.wait(_START_SECONDS)


def _start_another() -> None:
    """The executor starts a process at a task for which it has no idle one."""


def _process(folder: Path, photo: Path) -> Rows:
    return process(local(photo, folder))
