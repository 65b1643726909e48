"""Processes that append at the same moment, ours and the other library's alike.

Each is told by a line of JSON on stdin what to append, reads it from its file, answers `ready`, waits for `go` and answers
`done`. Time runs from the word to the last answer. Processes and not threads, so that Python's lock bounds neither side.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import PEERS
from media_assets.eventlog.events import NewEvent

HERE = Path(__file__).parent
OURS = [sys.executable, "-m", "benchmarks.append_writer"]
EVENTSOURCING = [str(PEERS / "bin" / "python"), str(HERE / "eventsourcing_writer.py")]


class Writers:
    """Up to as many writers at once as there are processes."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def seconds(self, files: Sequence[Path], per_append: int, **database: str) -> float:
        """How long it takes until every file is appended, a writer a file, `per_append` events at a time."""
        processes = self._processes[: len(files)]
        for process, file in zip(processes, files, strict=True):
            _say(process, json.dumps({"file": str(file), "per_append": per_append, **database}))
        _hear(processes, "ready")
        began = time.perf_counter()
        for process in processes:
            _say(process, "go")
        _hear(processes, "done")
        return time.perf_counter() - began


@contextmanager
def writers(command: Sequence[str], count: int) -> Iterator[Writers]:
    """Start `count` processes; they end when their stdin does."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        yield Writers(started)


def write_events(events: Sequence[NewEvent], file: Path) -> None:
    """One event a line: its clear fields, its type and its payload, and its number within its stream."""
    versions: dict[str, int] = {}
    with file.open("w") as lines:
        for event in events:
            versions[event.stream_id] = versions.get(event.stream_id, 0) + 1
            fields: dict[str, Any] = event.model_dump(mode="json", exclude={"payload"}, exclude_defaults=True)
            fields |= {"type": event.payload.type, "body": event.payload.model_dump(mode="json")}
            lines.write(json.dumps({"version": versions[event.stream_id], "fields": fields}) + "\n")


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(processes: Sequence[subprocess.Popen[str]], word: str) -> None:
    for process in processes:
        assert process.stdout is not None
        if (heard := process.stdout.readline().strip()) != word:
            raise RuntimeError(f"a writer said {heard!r} instead of {word!r}: {process.args!r}")
