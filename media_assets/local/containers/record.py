"""What is known of a container, kept on disk so that it is known after the server was killed, and as Docker tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

NEVER = "0001-01-01T00:00:00Z"
"""How Docker writes the time of what hasn't happened."""
_FILE = "record.json"


class ContainerRecord(BaseModel):
    """Its life so far. The environment isn't here: it has secrets, and nobody asks for it after the start."""

    id: str
    """64 hexadecimal digits."""
    name: str
    image: str
    """What the task definition says; nothing is read from it."""
    command: list[str]
    labels: dict[str, str]
    memory_bytes: int | None
    stop_seconds: float | None
    """Between SIGTERM and SIGKILL; None leaves it to who stops it."""
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    pid: int = 0
    """0 unless it runs."""
    exit_code: int = 0
    """As a shell says it: 128 + the signal's number for a process that was ended by one."""
    oom_killed: bool = False
    error: str = ""

    @property
    def status(self) -> str:
        if self.started is None:
            return "created"
        return "running" if self.finished is None else "exited"

    def save(self, folder: Path) -> None:
        """Whoever reads it finds the old or the new one, whole."""
        new = folder / f"{_FILE}.new"
        new.write_text(self.model_dump_json())
        new.replace(folder / _FILE)

    @classmethod
    def load(cls, folder: Path) -> ContainerRecord:
        """Raises FileNotFoundError if the server was killed before it had written one."""
        return cls.model_validate_json((folder / _FILE).read_text())


def inspected(record: ContainerRecord) -> dict[str, Any]:
    """The answer to GET /containers/{id}/json: the part of Docker Engine API v1.45 that has a meaning for a process."""
    return {
        "Id": record.id,
        "Name": f"/{record.name}",
        "Created": rfc3339(record.created),
        "Image": record.image,
        "Path": record.command[0],
        "Args": record.command[1:],
        "State": {
            "Status": record.status,
            "Running": record.status == "running",
            "Paused": False,
            "Restarting": False,
            "Dead": False,
            "OOMKilled": record.oom_killed,
            "Pid": record.pid,
            "ExitCode": record.exit_code,
            "Error": record.error,
            "StartedAt": rfc3339(record.started),
            "FinishedAt": rfc3339(record.finished),
        },
        "Config": {"Image": record.image, "Cmd": record.command, "Labels": record.labels, "Tty": False},
        "HostConfig": {"NetworkMode": "host", "Memory": record.memory_bytes or 0},
        "NetworkSettings": {"Networks": {}, "Ports": {}},
        "Mounts": [],
        "RestartCount": 0,
    }


def listed(record: ContainerRecord) -> dict[str, Any]:
    """The container's entry in the answer to GET /containers/json."""
    status = {"created": "Created", "running": "Up", "exited": f"Exited ({record.exit_code})"}[record.status]
    return {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": record.image,
        "ImageID": "",
        "Command": " ".join(record.command),
        "Created": int(record.created.timestamp()),
        "State": record.status,
        "Status": status,
        "Labels": record.labels,
        "Ports": [],
        "Mounts": [],
        "HostConfig": {"NetworkMode": "host"},
        "NetworkSettings": {"Networks": {}},
    }


def rfc3339(time: datetime | None) -> str:
    return NEVER if time is None else time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
