"""python -m benchmarks [name[,name]]: run all benchmarks or those named, print a table, write results.json and results.svg.

A benchmark is a module with `run()`, a generator of figures; it goes into BENCHMARKS below.
"""

from __future__ import annotations

import sys

from rich.console import Console

from benchmarks import append, replay
from benchmarks.report import load, merge, save, table

BENCHMARKS = {"append": append.run, "replay": replay.run}


def main(only: str = "") -> None:
    """`only`: names with commas between them; none means all."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise SystemExit(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    ran = []
    for name in names:
        for figure in BENCHMARKS[name]():
            ran.append(figure.entry())
            print(f"{name}: {figure.variant}: {ran[-1]['ratio']} ×", file=sys.stderr)
        save(merge(load(), ran))
    Console(width=140).print(table(ran))


if __name__ == "__main__":
    main(*sys.argv[1:])
