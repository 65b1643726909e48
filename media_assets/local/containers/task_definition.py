"""What ECS's agent tells Docker and the emulator doesn't: entry point, memory limit, grace period.

The emulator passes command, environment and labels. The rest is in the task definition that the labels name, so it is
asked for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from media_assets.local.emulator import CREDENTIALS

_LABEL = "com.amazonaws.ecs."
_MIB = 1024 * 1024


class ContainerDefinition(BaseModel):
    """One container of a task definition."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: str
    entry_point: list[str] = Field(default_factory=list)
    memory: int | None = None
    """MiB, of this container."""
    stop_timeout: float | None = None
    """Seconds."""


class TaskDefinition(BaseModel):
    """What is read of a task definition."""

    model_config = ConfigDict(alias_generator=to_camel)

    container_definitions: list[ContainerDefinition]
    memory: int | None = None
    """MiB, of the whole task. ECS gives it as a string."""

    def memory_bytes(self, container: ContainerDefinition) -> int | None:
        """The container's limit, else the task's, which no single container may exceed either."""
        limit = container.memory or self.memory
        return limit * _MIB if limit else None


def is_of_a_task(labels: Mapping[str, str]) -> bool:
    return f"{_LABEL}task-arn" in labels


def task_region(labels: Mapping[str, str]) -> str:
    """The region of a task's container."""
    return labels[f"{_LABEL}task-arn"].split(":")[3]


async def definitions_of(labels: Mapping[str, str], endpoint_url: str) -> tuple[TaskDefinition, ContainerDefinition]:
    """The definitions that a task's container was made from.

    `endpoint_url` is the emulator's. Raises botocore.exceptions.ClientError and BotoCoreError, and LookupError.
    """
    family, revision = labels[f"{_LABEL}task-definition-family"], labels[f"{_LABEL}task-definition-version"]
    describe = _ecs(endpoint_url, task_region(labels)).describe_task_definition  # not in the threads: each would make its own
    answer = await asyncio.to_thread(describe, taskDefinition=f"{family}:{revision}")
    task = TaskDefinition.model_validate(answer["taskDefinition"])
    name = labels[f"{_LABEL}container-name"]
    for container in task.container_definitions:
        if container.name == name:
            return task, container
    raise LookupError(f"task definition {family}:{revision} has no container {name!r}")


@cache
def _ecs(endpoint_url: str, region: str) -> Any:
    session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=region)
    return session.client("ecs", endpoint_url=endpoint_url)
