"""Processes are found and ended by their mark and start time, whatever was killed before."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from media_assets.local.processes import ProcessRecord, marked, spawn, stop_marked, tail, wait_gone

SLEEP = "import time; time.sleep(600)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print('up', flush=True); {SLEEP}"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"

Start = Callable[[str, str], ProcessRecord]


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    yield f"test:{tmp_path}"
    stop_marked(f"test:{tmp_path}", 0)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(code: str, mark: str) -> ProcessRecord:
        log = tmp_path / "log"
        record = spawn([sys.executable, "-c", code], mark=mark, environment=dict(os.environ), folder=tmp_path, log=log)
        while code != SLEEP and "up" not in tail(log):
            time.sleep(0.01)
        return record

    return start


def test_a_child_is_found_and_ended_after_its_parent_was_killed(start: Start, mark: str) -> None:
    parent = start(PARENT, mark)
    os.kill(parent.pid, signal.SIGKILL)
    assert not wait_gone([process for process in marked(mark) if process.pid == parent.pid], 5)
    (child,) = marked(mark)

    stop_marked(mark, 5)

    assert marked(mark) == []
    assert not parent.is_alive
    assert not wait_gone([child], 0)


def test_what_ignores_sigterm_is_killed_after_the_grace(start: Start, mark: str) -> None:
    record = start(STUBBORN, mark)
    stop_marked(mark, 0.2)
    assert not record.is_alive


def test_a_process_with_another_mark_is_left_alone(start: Start, mark: str) -> None:
    mine, other = start(SLEEP, mark), start(SLEEP, f"{mark}-2")
    try:
        stop_marked(mark, 5)
        assert not mine.is_alive
        assert other.is_alive
    finally:
        stop_marked(f"{mark}-2", 5)


def test_a_number_that_is_used_again_is_not_taken_for_the_process_that_had_it() -> None:
    me = ProcessRecord.of(psutil.Process())
    assert me.is_alive
    assert not me.model_copy(update={"started": me.started - 3600}).is_alive


def test_a_process_gets_nothing_of_our_environment_but_what_it_is_given(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "s3cret")
    code = "import os; print(sorted(os.environ), flush=True)"
    record = spawn([sys.executable, "-c", code], mark=mark, environment={"GIVEN": "1"}, folder=tmp_path, log=tmp_path / "log")
    while record.is_alive:
        time.sleep(0.01)
    assert "GIVEN" in tail(tmp_path / "log")
    assert "A_SECRET" not in tail(tmp_path / "log")


def test_a_log_does_not_grow_without_end(start: Start, mark: str, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.truncate(10_000_001)
    start(STUBBORN, mark)
    assert (tmp_path / "log").stat().st_size < 100
    assert (tmp_path / "log.previous.log").stat().st_size == 10_000_001
