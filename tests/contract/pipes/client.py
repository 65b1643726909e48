"""The Pipes client that is put to the test: ours, or another one that the variable PIPES_CLIENT names (`module:object`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from textwrap import dedent

from media_assets.defs.resource import MediaResource
from media_assets.steps.step import TargetName


@dataclass(frozen=True)
class Client:
    """Both halves of a client.

    `media` is the near one: its `targets` send batches. `far` has, by target, the last lines of a remote program that has
    defined `process(item, context)` and `edit(event, answer)`: they make a Lambda function `handler`, or a task's work, of
    these. What `edit` returns is to reach the near half as the answer.
    """

    media: type[MediaResource]
    far: Mapping[TargetName, str]

    def source(self, target: TargetName, program: str) -> str:
        return f"{_HONEST}\n{dedent(program)}\n{dedent(self.far[target])}"


_HONEST = """
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError, StepResult

def process(item, context):
    return StepResult({"model": "test", "detections": []})

def edit(event, answer):
    return answer
"""

OURS = Client(
    media=MediaResource,
    far={
        "lambda": """
            from lambdas.runtime import batch, entrypoint
            entrypoint.work_off = lambda event, *more: edit(event, batch.work_off(event, *more))
            handler = entrypoint.lambda_handler("detect", process)
        """,
        "ecs": """
            from lambdas.runtime import batch, task
            task.work_off = lambda event, *more: edit(event, batch.work_off(event, *more))
            if __name__ == "__main__":
                task.run("detect", process)
        """,
    },
)


def client_under_test() -> Client:
    module, _, name = os.environ.get("PIPES_CLIENT", f"{__name__}:OURS").partition(":")
    client = getattr(import_module(module), name)
    assert isinstance(client, Client), f"{module}:{name} is a {type(client).__name__}, not a {Client.__name__}"
    return client
