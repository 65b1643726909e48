"""A process that appends batches until it is killed: `python -m tests.unit.eventlog.appender URL WORKER FIRST_BATCH`.

Says the number of each batch on its standard output once the append has returned.
"""

from __future__ import annotations

import sys
from itertools import count

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from tests.unit.eventlog.lives import Life


def batch(worker: str, number: int) -> list[NewEvent]:
    """The events of a worker's n-th batch: a whole life and the begin of another one."""
    return [*Life(f"uploads/ada/{worker}/{number}-a").done(), Life(f"uploads/ada/{worker}/{number}-b").upload()]


def main(database_url: str, worker: str, first: str) -> None:
    store = EventStore.connect(database_url)
    for number in count(int(first)):
        store.append(batch(worker, number))
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
