"""python -m benchmarks [name[,name]]: run all benchmarks or those named, print a table, write results.json and results.svg.

A benchmark is a module with `run()`, a generator of figures; it goes into BENCHMARKS below.
"""

from __future__ import annotations

import signal
import sys

from rich.console import Console

from benchmarks import (
    append,
    end_to_end,
    growth,
    order_of_work,
    replay,
    segments,
    sensor_tick,
    thumbnail,
    vs_daft,
    vs_pixeltable,
    vs_stock_dagster,
)
from benchmarks.report import load, merge, save, table

BENCHMARKS = {
    "append": append.run,
    "replay": replay.run,
    "growth": growth.run,
    "end_to_end": end_to_end.run,
    "sensor_tick": sensor_tick.run,
    "order_of_work": order_of_work.run,
    "vs_stock_dagster": vs_stock_dagster.run,
    "vs_pixeltable": vs_pixeltable.run,
    "vs_daft": vs_daft.run,
    "thumbnail": thumbnail.run,
    "segment_copy": segments.run_copy,
    "segment_overlay": segments.run_overlay,
}


def main(only: str = "") -> None:
    """`only`: names with commas between them; none means all."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise SystemExit(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what was started is ended
    ran = []
    for name in names:
        for figure in BENCHMARKS[name]():
            ran.append(figure.entry())
            print(f"{name}: {figure.variant}: {ran[-1]['ratio']} ×", file=sys.stderr)
        save(merge(load(), ran))
    Console(width=140).print(table(ran))


if __name__ == "__main__":
    main(*sys.argv[1:])
