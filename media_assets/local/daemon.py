"""The Dagster daemon, but it first ends the runs that a crash left behind and waits for the code server.

`python -m media_assets.local.daemon SOCKET run …`. One process does all, because importing Dagster takes longer than any.
"""

from __future__ import annotations

import socket
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

from dagster import DagsterInstance

from media_assets.local.orphans import end_orphaned_runs

_CODE_SERVER_SECONDS = 60


def main() -> None:
    """The code server's socket, then the arguments of `dagster-daemon`."""
    code_server = Path(sys.argv.pop(1))
    with DagsterInstance.get() as instance:
        for run_id in end_orphaned_runs(instance):
            print(f"ended run {run_id}, which no living process owned", flush=True)
    _wait_for(code_server)
    (command,) = entry_points(group="console_scripts", name="dagster-daemon")
    command.load()()


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
