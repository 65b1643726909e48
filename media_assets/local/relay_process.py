"""The relay as a process of the stack: the command that a deployment runs, with the database of its own role only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from media_assets.local.dagster_processes import PROJECT
from media_assets.local.processes import ProcessDiedError, ProcessRecord, spawn, stop_marked

_OTHERS = {
    *("DATABASE_URL", "MEDIA_OWNER_DATABASE_URL", "MEDIA_ERASER_DATABASE_URL"),
    *("DAGSTER_DATABASE_URL", "DAGSTER_HOME", "DAGSTER_URL"),
}
_START_SECONDS = 60
_STOP_SECONDS = 15
"""A call that EventBridge doesn't answer takes 13 s."""


def relay_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the relay gets of the stack's environment: no database as another role, and nothing of Dagster."""
    return {name: value for name, value in environment.items() if name not in _OTHERS}


class RelayProcess:
    """At most one for a `folder`, which is its name and needs not exist."""

    def __init__(self, folder: Path, logs: Path) -> None:
        self._mark = f"relay:{folder}"
        self._log = logs / "relay.log"

    def start(self, environment: Mapping[str, str]) -> ProcessRecord:
        """Start it on what is deployed: before that, the emulator would take events for a bus that it doesn't have."""
        command = [sys.executable, "-m", "media_assets.cli", "relay"]
        return spawn(command, mark=self._mark, environment=environment, folder=PROJECT, log=self._log)

    def wait(self, record: ProcessRecord, is_at_work: Callable[[], bool]) -> None:
        """Return once it publishes. Raises ProcessDiedError."""
        deadline = time.monotonic() + _START_SECONDS
        while not is_at_work():
            if not record.is_alive or time.monotonic() > deadline:
                raise ProcessDiedError("The relay", self._log)
            time.sleep(0.05)

    def stop(self) -> None:
        """Let it finish what it is sending and end. Idempotent. Raises ProcessSurvivedError."""
        stop_marked(self._mark, _STOP_SECONDS)
