"""The containers of one server: made of what Docker's client asks for and of task definitions, found, listed, removed."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from media_assets.local.containers.container import Container, work_folder
from media_assets.local.containers.record import ContainerRecord
from media_assets.local.containers.task_definition import definitions_of, is_of_a_task, task_region
from media_assets.local.emulator import WORKER_THREADS
from media_assets.local.ports import LOOPBACK

_HOST_NAME = "host.docker.internal"
"""What a container calls the machine it is on."""


class RefusedError(Exception):
    """An answer with an HTTP status of Docker's and a message for a person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ContainerRequest(BaseModel):
    """What is read of the body of POST /containers/create."""

    model_config = ConfigDict(alias_generator=to_pascal)

    image: str
    cmd: list[str] | None = None
    entrypoint: list[str] | None = None
    env: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_timeout: float | None = None
    """Seconds."""
    host_config: dict[str, Any] = Field(default_factory=dict)


class Engine:
    """Each container has a folder in `folder`, named by the start of its id. Not for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._containers: dict[str, Container] = {}

    def recover(self) -> None:
        """Take over what a server that was killed left here; returns when its processes have ended."""
        for folder in sorted(self._folder.iterdir()):
            if container := Container.recovered(folder):
                self._containers[container.record.id] = container

    async def create(self, name: str, asked: ContainerRequest) -> Container:
        """Raises RefusedError."""
        id = secrets.token_hex(32)
        name = name or id[:12]
        folder = self._folder / id[:12]  # a socket in there has a path of about 100 bytes at most
        environment = _environment(asked, id, work_folder(folder))
        entry_point, memory_bytes, stop_seconds = await _not_asked(asked, environment)
        command = [*entry_point, *(asked.cmd or [])]
        if not command:
            raise RefusedError(400, f"no command specified; image {asked.image} isn't read, containers are processes here")
        if taken := next((each for each in self._containers.values() if each.record.name == name), None):
            raise RefusedError(
                409, f'Conflict. The container name "/{name}" is already in use by container "{taken.record.id}".'
            )
        record = ContainerRecord(
            id=id,
            name=name,
            image=asked.image,
            command=command,
            labels=asked.labels or {},
            memory_bytes=memory_bytes,
            stop_seconds=stop_seconds,
            created=datetime.now(UTC),
        )
        folder.mkdir()
        self._containers[id] = Container(folder, record, environment)
        return self._containers[id]

    def find(self, reference: str) -> Container:
        """By id, name or the start of an id. Raises RefusedError."""
        for container in self._containers.values():
            if reference in (container.record.id, container.record.name):
                return container
        found = [container for id, container in self._containers.items() if id.startswith(reference)]
        if len(found) != 1:
            raise RefusedError(404, f"No such container: {reference}")
        return found[0]

    def listed(self, *, all: bool, labels: Sequence[str]) -> list[Container]:
        """The running or all ones that have all these labels, each `name` or `name=value`; the newest first."""
        return [
            container
            for container in reversed(self._containers.values())
            if (all or container.is_running) and all_hold(labels, container.record.labels)
        ]

    def remove(self, container: Container) -> None:
        """One that doesn't run. Idempotent."""
        if self._containers.pop(container.record.id, None):
            container.remove()

    async def stop_all(self, grace_seconds: float) -> None:
        await asyncio.gather(*(container.stop(grace_seconds) for container in self._containers.values()))


def all_hold(wanted: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Docker's label filter."""
    pairs = [label.partition("=") for label in wanted]
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in pairs)


async def _not_asked(asked: ContainerRequest, environment: Mapping[str, str]) -> tuple[list[str], int | None, float | None]:
    """Entry point, memory limit in bytes and grace period in seconds: a task's are in its definition."""
    entry_point = asked.entrypoint or []
    if asked.labels is None or not is_of_a_task(asked.labels):
        return entry_point, asked.host_config.get("Memory") or None, asked.stop_timeout
    try:
        task, container = await definitions_of(asked.labels, environment["AWS_ENDPOINT_URL"])
    except (ClientError, BotoCoreError, LookupError, ValidationError) as error:
        raise RefusedError(500, f"the task definition can't be read: {error!r}") from error
    return entry_point or container.entry_point, task.memory_bytes(container), container.stop_timeout


def _environment(asked: ContainerRequest, id: str, work: Path) -> dict[str, str]:
    """What an image, Docker and ECS's agent would set, then what was asked for; nothing of our own but the search path and how
    many threads a worker takes.

    Who runs without a network of its own reaches this machine as loopback.
    """
    region = task_region(asked.labels) if asked.labels and is_of_a_task(asked.labels) else None
    given = (entry.partition("=") for entry in asked.env or [])
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(work),
        "TMPDIR": str(work),
        "HOSTNAME": id[:12],
        **WORKER_THREADS,
        **({"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}),
        **{name: value.replace(_HOST_NAME, LOOPBACK) for name, _, value in given},
    }
