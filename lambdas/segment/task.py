"""The `segment` step as an ECS task: `python -m lambdas.segment.task`."""

from __future__ import annotations

from lambdas.runtime.task import run
from lambdas.segment.handler import process

if __name__ == "__main__":
    run("segment", process)
