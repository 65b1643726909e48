"""Killing any one process, or all of them, at any moment loses nothing: everything is finished after the next `up`."""

from __future__ import annotations

import io
import random
from collections import Counter
from contextlib import suppress

import numpy as np
import psutil
import pytest
from PIL import Image

from media_assets.local.processes import MARK, marked
from tests.e2e.conftest import RunningStack

pytestmark = pytest.mark.timeout(600)

PHOTOS = 12


def photo(seed: int) -> bytes:
    """A picture of its own that takes a moment to process."""
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((2000, 1500), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def processes_of(running: RunningStack, part: str) -> list[psutil.Process]:
    """The part's processes and their children: `postgres`, `emulator` (with its Lambda workers), `relay` or `dagster` (with
    runs)."""
    found = marked(f"{part}:{running.state_dir / part}")
    for process in tuple(found):
        with suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return list(dict.fromkeys(found))


def tasks_of(running: RunningStack) -> list[psutil.Process]:
    """Processes of tasks on ECS."""
    return [process for process in psutil.process_iter() if _mark(process).startswith(f"container:{running.state_dir}/")]


def kill(processes: list[psutil.Process]) -> int:
    killed = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            killed += 1
    return killed


def upload(running: RunningStack, user: str) -> list[str]:
    keys = [f"uploads/{user}/{number}.jpg" for number in range(PHOTOS)]
    for number, key in enumerate(keys):
        running.put(key, photo(number))
    return keys


def work_has_begun(running: RunningStack, user: str) -> bool:
    """Some, but not all, of the user's photos have thumbnails."""
    (count,) = running.sql("SELECT count(DISTINCT item_id) FROM thumbnails WHERE user_id = %s", user)[0]
    return bool(count)


def assert_nothing_was_lost(running: RunningStack, user: str, keys: list[str]) -> None:
    def all_done() -> bool:
        rows = running.sql("SELECT state FROM items WHERE user_id = %s", user)
        return len(rows) == len(keys) and all(state == "done" for (state,) in rows)

    running.eventually(all_done, seconds=180)
    events = running.sql("SELECT item_id, type FROM events WHERE user_id = %s", user)
    counts = Counter(kind for _, kind in events)
    for once_each in (
        "UploadReceived",
        "MediaProbed",
        "ThumbnailCreated",
        "AnalysisCompleted",
        "EmbeddingStored",
        "DetectionsCompleted",
    ):
        assert counts[once_each] == len(keys), counts
    assert Counter(events).most_common(1)[0][1] == 1, "an event is there twice"
    assert running.json("replay", "--verify")["identical"]
    running.eventually(lambda: running.json("status")["outbox"]["lag_events"] == 0)

    def no_run_hangs() -> bool:
        answer = running.graphql(
            "{ runsOrError(filter: {statuses: [STARTED, STARTING, QUEUED, CANCELING]}) { ... on Runs { results { runId } } } }"
        )
        return not answer["runsOrError"]["results"]

    running.eventually(no_run_hangs, seconds=60)


def test_everything_killed_in_mid_work(running: RunningStack) -> None:
    user = "killed-all"
    keys = upload(running, user)
    running.eventually(lambda: work_has_begun(running, user))

    victims = [process for part in ("dagster", "relay", "emulator", "postgres") for process in processes_of(running, part)]
    assert kill(victims) > 5
    running.up()

    assert_nothing_was_lost(running, user, keys)


def test_the_run_killed_in_mid_work(running: RunningStack) -> None:
    user = "killed-run"
    keys = upload(running, user)
    running.eventually(lambda: work_has_begun(running, user))

    runs = [process for process in processes_of(running, "dagster") if "execute_run" in " ".join(_command(process))]
    kill(runs)
    running.up()

    assert_nothing_was_lost(running, user, keys)


def test_lambda_workers_and_tasks_killed_again_and_again(running: RunningStack) -> None:
    user = "killed-workers"
    keys = upload(running, user)
    chance = random.Random(1)
    workers_killed = tasks_killed = 0

    def enough_were_killed() -> bool:
        nonlocal workers_killed, tasks_killed
        workers = [
            process for process in processes_of(running, "emulator") if "ministack-lambda-" in " ".join(_command(process))
        ]
        if workers and workers_killed < 3:
            workers_killed += kill([chance.choice(workers)])
        tasks_killed += kill(tasks_of(running)[:1])
        return workers_killed >= 3 and tasks_killed >= 2

    running.eventually(enough_were_killed)

    assert_nothing_was_lost(running, user, keys)
    query = "SELECT count(*) FROM events WHERE user_id = %s AND type = 'DetectionsCompleted' AND target = 'ecs'"
    assert running.sql(query, user)[0][0]
    assert tasks_of(running) == []


def test_the_emulator_killed_before_anybody_read_the_notifications(running: RunningStack) -> None:
    """Its queues are in memory: the notifications are gone, the objects aren't."""
    user = "killed-queue"
    kill(processes_of(running, "dagster"))
    keys = upload(running, user)
    kill(processes_of(running, "emulator"))
    assert running.json("status")["queues"] is None  # and the rest is told all the same
    running.up()

    assert_nothing_was_lost(running, user, keys)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _mark(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""
