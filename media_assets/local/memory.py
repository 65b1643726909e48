"""What the one-machine stack remembers between commands: its processes, its ports, what it deployed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from media_assets.local.dagster_processes import DagsterRecord
from media_assets.local.deploy import StackOutputs
from media_assets.local.processes import ProcessRecord


class Memory(BaseModel):
    """One JSON file. Losing it costs the ports; processes are found without it."""

    emulator: ProcessRecord | None = None
    emulator_port: int | None = None
    """Kept over restarts: links in Dagster's history carry it."""
    outputs: StackOutputs | None = None
    relay: ProcessRecord | None = None
    relay_fingerprint: str | None = None
    dagster: DagsterRecord | None = None
    dagster_port: int | None = None
    dagster_fingerprint: str | None = None
    """Of the environment and sources that the running Dagster was started with; the relay's is the same of the relay."""
    settings: dict[str, str] = {}
    """What Dagster was last started with, as variables, without keys and passwords of their own."""
    dagster_version: str | None = None
    """The Dagster that last migrated its tables."""

    @classmethod
    def load(cls, path: Path) -> Memory:
        """Empty if there is no file, or one of another version of this project."""
        try:
            return cls.model_validate_json(path.read_text())
        except (FileNotFoundError, ValidationError):
            return cls()

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        unfinished = path.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)  # an address among the settings may hold a password
        unfinished.write_text(self.model_dump_json(indent=2))
        unfinished.replace(path)
