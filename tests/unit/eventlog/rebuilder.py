"""A process that rebuilds read models in small batches: `python -m tests.unit.eventlog.rebuilder URL`.

Says how far it is after each batch, and waits a moment so that somebody may kill it there.
"""

from __future__ import annotations

import sys
import time

from media_assets.eventlog import rebuild as module


def main(owner_url: str) -> None:
    module.FOLD_BATCH, module._SHORT_TAIL = 40, 10

    def progress(done: int, total: int) -> None:
        print(done, total, flush=True)
        time.sleep(0.02)

    module.rebuild(owner_url, progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
