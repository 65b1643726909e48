"""Ends Dagster runs that a crash left behind.

A run whose process was killed stays STARTED for ever: Dagster's default launcher has no health check. It keeps its place in
the queue's limits and its concurrency slots, so work waits behind it. Whoever starts Dagster on a machine therefore first
ends every run that no living process owns; the work itself is pending in our own log and is asked for again.
"""

from __future__ import annotations

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

_LAUNCHED = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
"""A QUEUED run has no process yet and stays: the daemon launches it."""
_CLOCK_MARGIN_SECONDS = 2
_MESSAGE = "The process of this run was killed. What it left undone is pending and will be run again."


def end_orphaned_runs(instance: DagsterInstance) -> list[str]:
    """Fail (or cancel, if that was asked for) every launched run without a living process on this machine; free its slots.

    To be called while no launch is under way: a run between its launch and its first event looks abandoned. Returns run ids.
    """
    orphans = [run for run in instance.get_runs(RunsFilter(statuses=_LAUNCHED)) if not _has_process(instance, run)]
    for run in orphans:
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _MESSAGE)
        else:
            instance.report_run_failed(run, _MESSAGE)
    _free_slots_of_finished_runs(instance)
    return [run.run_id for run in orphans]


def _has_process(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether a process that this run's events name is alive; a run in a person's shell has one as well."""
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata and _was_running(int(str(metadata["pid"].value)), entry.timestamp):
            return True
    return False


def _was_running(pid: int, timestamp: float) -> bool:
    """Whether the process that has this number now is the one that had it at `timestamp`: numbers are used again."""
    try:
        process = psutil.Process(pid)
        started_before = process.create_time() < timestamp + _CLOCK_MARGIN_SECONDS
        return started_before and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _free_slots_of_finished_runs(instance: DagsterInstance) -> None:
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids() if storage.supports_global_concurrency_limits else ():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
