"""The `detect` step as an ECS task: `python -m lambdas.detect.task`."""

from __future__ import annotations

from lambdas.detect.handler import process
from lambdas.runtime.task import run

if __name__ == "__main__":
    run("detect", process)
