"""The Dagster daemon, but it first ends the runs and ECS tasks that a crash left behind and waits for the code server.

`python -m media_assets.local.daemon SOCKET run …`. One process does all, because importing Dagster takes longer than any.
"""

from __future__ import annotations

import socket
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance

from media_assets.local.orphaned_tasks import stop_orphaned_tasks
from media_assets.local.orphans import end_orphaned_runs
from media_assets.settings import get_settings

_CODE_SERVER_SECONDS = 60


def main() -> None:
    """The code server's socket, then the arguments of `dagster-daemon`."""
    code_server = Path(sys.argv.pop(1))
    with DagsterInstance.get() as instance:
        for run_id in end_orphaned_runs(instance):
            print(f"ended run {run_id}, which no living process owned", flush=True)
        _stop_tasks(instance)
    _wait_for(code_server)
    (command,) = entry_points(group="console_scripts", name="dagster-daemon")
    command.load()()


def _stop_tasks(instance: DagsterInstance) -> None:
    """A daemon is worth more than tasks that end by their time limit anyway."""
    try:
        for task in stop_orphaned_tasks(instance, boto3.client("ecs"), get_settings().ecs_cluster):
            print(f"stopped task {task}, whose run is over", flush=True)
    except (BotoCoreError, ClientError) as error:
        print(f"tasks of ended runs may go on: {error!r}", flush=True)


def _wait_for(code_server: Path) -> None:
    """A daemon that comes before it sees no sensors and looks again only after 5 s."""
    deadline = time.monotonic() + _CODE_SERVER_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(code_server))
                return
            except OSError:
                time.sleep(0.05)


if __name__ == "__main__":
    main()
