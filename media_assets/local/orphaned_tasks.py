"""Stops ECS tasks whose Dagster run is over: a run that was killed had no time to stop the tasks it waited for.

Nobody takes their answers any more, and what they work on is pending again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from media_assets.dispatch.ecs_tasks import described_tasks

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

_REASON = "the run that started this task has ended"


def stop_orphaned_tasks(instance: DagsterInstance, ecs: ECSClient, cluster: str) -> list[str]:
    """Stop every task of the cluster that was started by a finished run, all at a time; returns their ARNs.

    A task tells who started it by `startedBy`, the run's id. What a person started is left alone. Raises
    botocore.exceptions.ClientError and BotoCoreError.
    """

    def stop(task: str) -> str:
        ecs.stop_task(cluster=cluster, task=task, reason=_REASON)
        return task

    running = described_tasks(ecs, cluster, desiredStatus="RUNNING")
    orphans = [task["taskArn"] for task in running if _is_over(instance, task.get("startedBy"))]
    with ThreadPoolExecutor() as pool:  # the emulator answers when the task has ended, after its grace period at the latest
        return list(pool.map(stop, orphans))


def _is_over(instance: DagsterInstance, run_id: str | None) -> bool:
    run = instance.get_run_by_id(run_id) if run_id else None
    return run is not None and run.is_finished
