"""A process that reads the whole log, or folds it into new read models (replay.py watches its memory).

python -m benchmarks.replayer fold|read <URL of the owner>: prints seconds.
"""

from __future__ import annotations

import sys
import time

from media_assets.eventlog.rebuild import rebuild
from media_assets.eventlog.store import EventStore


def main() -> None:
    what, url = sys.argv[1:]
    began = time.perf_counter()
    if what == "fold":
        rebuild(url)
    else:
        for _ in EventStore.connect(url).all():
            pass
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
