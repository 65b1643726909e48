"""After a crash every launched run without a living process is ended, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, job, op
from dagster._core.events import EngineEventData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import instance_for_test

from media_assets.local.orphans import end_orphaned_runs


@op
def nothing() -> None: ...


@job
def a_job() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with instance_for_test(temp_dir=str(tmp_path), overrides={"telemetry": {"enabled": False}}) as instance:
        yield instance


@pytest.fixture
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("test"), "__repository__"), "a_job")


def a_run(instance: DagsterInstance, status: DagsterRunStatus, pid: int | None = None) -> DagsterRun:
    run = instance.create_run_for_job(a_job, status=status, remote_job_origin=ORIGIN)
    if pid is not None:
        instance.report_engine_event("Executing steps in process", run, EngineEventData.in_process(pid))
    return run


def status_of(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])
def test_a_run_whose_process_is_gone_fails(instance: DagsterInstance, dead_pid: int, status: DagsterRunStatus) -> None:
    run = a_run(instance, status, dead_pid)
    assert end_orphaned_runs(instance) == [run.run_id]
    assert status_of(instance, run) == DagsterRunStatus.FAILURE


def test_a_run_that_was_launched_and_never_began_fails(instance: DagsterInstance) -> None:
    run = a_run(instance, DagsterRunStatus.STARTING)
    end_orphaned_runs(instance)
    assert status_of(instance, run) == DagsterRunStatus.FAILURE


def test_a_run_that_somebody_was_cancelling_ends_as_cancelled(instance: DagsterInstance, dead_pid: int) -> None:
    run = a_run(instance, DagsterRunStatus.CANCELING, dead_pid)
    end_orphaned_runs(instance)
    assert status_of(instance, run) == DagsterRunStatus.CANCELED


def test_a_run_whose_process_lives_goes_on(instance: DagsterInstance) -> None:
    run = a_run(instance, DagsterRunStatus.STARTED, os.getpid())
    assert end_orphaned_runs(instance) == []
    assert status_of(instance, run) == DagsterRunStatus.STARTED


def test_a_run_whose_process_number_is_somebody_else_s_now_fails(instance: DagsterInstance) -> None:
    run = a_run(instance, DagsterRunStatus.STARTED)
    time.sleep(2.5)  # more than the margin for clocks
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        event = EngineEventData.in_process(stranger.pid)
        began = psutil.Process(stranger.pid).create_time() - 2.5
        with pytest.MonkeyPatch.context() as clock:
            clock.setattr("time.time", lambda: began)
            instance.report_engine_event("Executing steps in process", run, event)
        ended = end_orphaned_runs(instance)
        stranger.communicate(b"\n")
    assert ended == [run.run_id]


@pytest.mark.parametrize("status", [DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED, DagsterRunStatus.SUCCESS])
def test_a_run_without_a_process_to_lose_stays(instance: DagsterInstance, status: DagsterRunStatus) -> None:
    run = a_run(instance, status)
    assert end_orphaned_runs(instance) == []
    assert status_of(instance, run) == status


def test_concurrency_slots_of_ended_runs_are_free_again(instance: DagsterInstance, dead_pid: int) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("pool", 1)
    run = a_run(instance, DagsterRunStatus.STARTED, dead_pid)
    assert storage.claim_concurrency_slot("pool", run.run_id, "nothing").is_claimed
    end_orphaned_runs(instance)
    assert storage.get_concurrency_run_ids() == set()
