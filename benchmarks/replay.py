"""replay: events a second from position 0 into all read models, against reading the same log without folding.

At two lengths, since what matters is that rate and memory stay the same however long the log is. The server process' memory
is reported only: folding keeps it flat, while the ANALYZE at the end of a rebuild samples up to 30,000 rows a table.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.figure import Figure, Goal, compare, in_turn
from benchmarks.lives import lives
from benchmarks.server import MEDIA, Server, server
from media_assets.eventlog.store import EventStore

ROUNDS = 3
SHORT, LONG = 20_000, 80_000
PROJECT = Path(__file__).resolve().parents[1]
LINEAR = Goal("≥", 0.9)
FLAT = Goal("≤", 1.1)


def run() -> Iterator[Figure]:
    with server() as postgres:
        sides: list[Callable[[int], float]] = []
        peaks: dict[int, list[tuple[float, float]]] = {SHORT: [], LONG: []}
        for length in (SHORT, LONG):
            database = f"log_of_{length}"
            postgres.create(database, MEDIA)
            _tell(postgres, database, length)
            sides += [_replaying(postgres, database, length, peaks[length]), _reading(postgres, database, length)]
        fold_short, read_short, fold_long, read_long = in_turn(ROUNDS, *sides)
    yield compare("replay", f"{SHORT:,} events, against reading", "events/s", fold_short, read_short)
    yield compare("replay", f"{LONG:,} events, against reading", "events/s", fold_long, read_long)
    yield compare("replay", f"{LONG:,} events, against {SHORT:,}", "events/s", fold_long, fold_short, LINEAR)
    for index, process, goal in ((0, "process", FLAT), (1, "server process", None)):
        of_long, of_short = ([peak[index] for peak in peaks[length][1:]] for length in (LONG, SHORT))
        yield compare("replay", f"memory of the {process}, {LONG:,} against {SHORT:,}", "MB", of_long, of_short, goal)


def _tell(postgres: Server, database: str, length: int) -> None:
    store = EventStore.connect(postgres.application_url(database))
    for first in range(0, length, 1_000):
        store.append(lives(first, 1_000, batch=200))
    store.engine.dispose()
    postgres.run(database, "VACUUM (ANALYZE)")


def _replaying(postgres: Server, database: str, length: int, peaks: list[tuple[float, float]]) -> Callable[[int], float]:
    def events_per_second(_: int) -> float:
        seconds, peak = _run("fold", postgres, database)
        peaks.append(peak)
        return length / seconds

    return events_per_second


def _reading(postgres: Server, database: str, length: int) -> Callable[[int], float]:
    return lambda _: length / _run("read", postgres, database)[0]


def _run(what: str, postgres: Server, database: str) -> tuple[float, tuple[float, float]]:
    """Seconds that a process of its own takes, and the peaks of private megabytes: its own, and its server process'."""
    command = [sys.executable, "-m", "benchmarks.replayer", what, postgres.owner_url(database)]
    own = theirs = 0.0
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            own = max(own, _private_megabytes(process.pid))
            theirs = max([theirs, *(_private_megabytes(pid) for pid in postgres.backends(database))])
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout is not None
        return float(process.stdout.read()), (own, theirs)


def _private_megabytes(pid: int) -> float:
    """Resident without what is shared, Postgres' buffers above all; systems that don't tell them apart count both."""
    try:
        memory = psutil.Process(pid).memory_info()
    except psutil.NoSuchProcess:
        return 0.0
    return (memory.rss - getattr(memory, "shared", 0)) / 1e6
