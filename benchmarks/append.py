"""append: events a second that the log takes, against the `eventsourcing` library on the same server, fsync on.

Single events and hundreds, one writer and eight; uploads of new items, and items' lives up to their vectors. `log only` has
no read models: `fold` is empty in that database, while the chain stays. Ours serializes its payloads within its time.

The library locks its table, so that its order is commit order like ours, in all but hundreds of `lives`: those go through
its function, which doesn't; eventsourcing_writer.py says why.

Last, our own append with two million events in the log and its read models, against an empty one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure, Goal, compare, in_turn
from benchmarks.lives import lives, uploads
from benchmarks.many_events import fill
from benchmarks.server import MEDIA, Server, server
from benchmarks.writers import EVENTSOURCING, OURS, Writers, write_events, writers

ROUNDS = 5
WRITERS = (1, 8)
EVENTS = {1: 800, 100: 8_000}
"""Events a round, by events an append."""
CONTENTS = {"uploads": uploads, "lives": lives}
MANY = 2_000_000
GOALS = {
    (1, "log only"): Goal("≥", 1.0),
    (1, "with folds"): Goal("≥", 1.0),
    (100, "log only"): Goal("≥", 0.6),
    (100, "with folds"): Goal("≥", 0.4),
}
GOAL_OF_MANY = Goal("≥", 0.9)
_NO_FOLD = "CREATE OR REPLACE FUNCTION fold(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'"


@dataclass(frozen=True)
class Load:
    """What is appended in a round."""

    contents: str
    writers: int
    per_append: int

    def __str__(self) -> str:
        return f"{self.contents}, {self.writers} writer{'s' * (self.writers > 1)}, {self.per_append} an append"

    @property
    def events(self) -> int:
        return EVENTS[self.per_append]

    @property
    def is_large(self) -> bool:
        """Whether an append is of some hundred kilobytes: a hundred vectors."""
        return self.contents == "lives" and self.per_append == 100

    def files(self, folder: Path, number: int) -> list[Path]:
        """A file of events for each writer, of items that no other round has."""
        share = self.events // self.writers
        paths = [folder / f"{number}-{writer}" for writer in range(self.writers)]
        for writer, path in enumerate(paths):
            if not path.exists():
                write_events(CONTENTS[self.contents](number * self.events + writer * share, share), path)
        return paths


def run() -> Iterator[Figure]:
    with server() as postgres, writers(OURS, max(WRITERS)) as ours:
        with writers(EVENTSOURCING, max(WRITERS)) as theirs:
            postgres.create("template_log_only", MEDIA)
            postgres.run("template_log_only", _NO_FOLD)
            postgres.create("template_eventsourcing")
            theirs.seconds([Path("/dev/null")], 1, **_theirs(postgres, "template_eventsourcing"), create="yes")
            for load in (Load(c, w, size) for c in CONTENTS for w in WRITERS for size in EVENTS):
                yield from _against_eventsourcing(postgres, ours, theirs, load)
        yield from _with_many_events(postgres, ours)


def _against_eventsourcing(postgres: Server, ours: Writers, theirs: Writers, load: Load) -> Iterator[Figure]:
    postgres.create("log_only", "template_log_only")
    postgres.create("with_folds", MEDIA)
    postgres.create("eventsourcing", "template_eventsourcing")
    through = {"function": "yes"} if load.is_large else {}
    with tempfile.TemporaryDirectory() as folder:
        log_only, with_folds, other = in_turn(
            ROUNDS,
            _rate(ours, load, Path(folder), url=postgres.application_url("log_only")),
            _rate(ours, load, Path(folder), url=postgres.application_url("with_folds")),
            _rate(theirs, load, Path(folder), **_theirs(postgres, "eventsourcing"), **through),
        )
    _expect(postgres, "log_only", load, folded=False)
    _expect(postgres, "with_folds", load, folded=True)
    for variant, rates in (("log only", log_only), ("with folds", with_folds)):
        yield compare("append", f"{load}, {variant}", "events/s", rates, other, GOALS[load.per_append, variant])
    for name in ("log_only", "with_folds", "eventsourcing"):
        postgres.drop(name)


def _with_many_events(postgres: Server, ours: Writers) -> Iterator[Figure]:
    postgres.create("many", MEDIA)
    fill(postgres, "many", MANY)
    for load in (Load("lives", 1, size) for size in EVENTS):
        postgres.create("empty", MEDIA)
        with tempfile.TemporaryDirectory() as folder:
            many, empty = in_turn(
                ROUNDS,
                _rate(ours, load, Path(folder), url=postgres.application_url("many")),
                _rate(ours, load, Path(folder), url=postgres.application_url("empty")),
            )
        postgres.drop("empty")
        variant = f"{load}, with {MANY // 1_000_000} M events in the log"
        yield compare("append", variant, "events/s", many, empty, GOAL_OF_MANY)


def _rate(writers: Writers, load: Load, folder: Path, **database: str) -> Callable[[int], float]:
    def events_per_second(number: int) -> float:
        return load.events / writers.seconds(load.files(folder, number), load.per_append, **database)

    return events_per_second


def _theirs(postgres: Server, database: str) -> dict[str, str]:
    return {"host": postgres.host, "dbname": database}


def _expect(postgres: Server, database: str, load: Load, *, folded: bool) -> None:
    """What was measured is what is claimed: every event is in the log, and the read models are there or are not."""
    [(events, items)] = postgres.run(database, "SELECT (SELECT max(position) FROM events), (SELECT count(*) FROM items)")
    if events != (ROUNDS + 1) * load.events or (items > 0) != folded:
        raise AssertionError(f"{database} holds {events} events and {items} items after {load}")
