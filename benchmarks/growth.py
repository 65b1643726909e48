"""growth: what a file costs the orchestrator when its hour holds four thousand others, against an hour that is empty.

The functions' own time would drown that, so a target in the run's own process answers in their place at once
(fixed_answers.py). Everything else is real: appends, claims, folds, runs of both pipelines with their checks and contact
sheets, Dagster's instance, Postgres. Files 1 to 1,000 and 4,001 to 5,000 of an hour are each a run of either pipeline.

What grows with the files of all hours, which is the vectors' index, is in that too: least of it in the last hours measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from benchmarks.figure import Figure, Goal, compare
from benchmarks.running_stack import running_stack

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
BLOCK = 1_000
BEFORE = 4_000
GOAL = Goal("≤", 1.15)


def run() -> Iterator[Figure]:
    with running_stack(dagster=False) as stack:
        stack.run_module("benchmarks.growing_hour", 1, 1, BLOCK // 10)  # which makes plans and caches
        lines = stack.run_module("benchmarks.growing_hour", 2, ROUNDS, BLOCK, BEFORE - BLOCK, BLOCK).splitlines()
    first, _, last = zip(*map(json.loads, lines), strict=True)
    yield compare(
        "growth",
        f"files {BEFORE + 1:,} to {BEFORE + BLOCK:,} of an hour, against 1 to {BLOCK:,}",
        "ms/file",
        [1000 * seconds / BLOCK for seconds in last],
        [1000 * seconds / BLOCK for seconds in first],
        GOAL,
    )
