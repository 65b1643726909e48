"""The `frames` step as an ECS task: `python -m lambdas.frames.task`."""

from __future__ import annotations

from lambdas.frames.handler import process
from lambdas.runtime.task import run

if __name__ == "__main__":
    run("frames", process)
