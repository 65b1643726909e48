"""Processes that append. They are forked from one that has imported everything: dozens start, and are killed, in seconds."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from tests.unit.eventlog.lives import Life

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload([__name__, "pytest"])


def batch(worker: str, number: int) -> list[NewEvent]:
    """The events of a worker's n-th batch: a whole life and the begin of another one."""
    return [*Life(f"uploads/ada/{worker}/{number}-a").done(), Life(f"uploads/ada/{worker}/{number}-b").upload()]


@dataclass
class Appender:
    """A worker that appends batch after batch in a process of its own, until it is killed; then it may start again.

    `acknowledged` is how many batches the log has confirmed, `kills_in_append` how often it died while an append was on.
    """

    database_url: str
    worker: str
    acknowledged: int = 0
    kills_in_append: int = 0
    _process: multiprocessing.process.BaseProcess = field(init=False)
    _said: Connection = field(init=False)

    def start(self) -> None:
        """Goes on with the first batch that wasn't acknowledged: the one in doubt is told again."""
        self._said, says = FORKED.Pipe(duplex=False)
        self._process = FORKED.Process(
            target=_append_until_killed, args=(self.database_url, self.worker, self.acknowledged, says), daemon=True
        )
        self._process.start()
        says.close()

    def wait_for_an_append(self) -> None:
        """Until it has appended for the first time in this life. Raises EOFError if it died before."""
        while not self._hear():
            pass

    def kill(self) -> None:
        """SIGKILL, which nothing can prepare for."""
        self._process.kill()
        self._process.join()
        is_appending = True
        try:
            while True:
                is_appending = not self._hear()
        except EOFError:
            self.kills_in_append += is_appending
        self._said.close()

    def _hear(self) -> bool:
        """Whether the next word is that a batch is in the log, and not that one is begun."""
        number, is_done = self._said.recv()
        if is_done:
            self.acknowledged = number + 1
        return bool(is_done)


def _append_until_killed(database_url: str, worker: str, first: int, says: Connection) -> None:
    store = EventStore.connect(database_url)
    for number in count(first):
        says.send((number, False))
        store.append(batch(worker, number))
        says.send((number, True))
