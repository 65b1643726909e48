"""How the command line speaks: JSON on standard output for machines, tables for people, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from media_assets.eventlog.videos import time_text as time_text

_PIPED_WIDTH = 120
_MOST_OF_A_TITLE = 200
_CONTROLS = (code for code in (*range(32), *range(127, 160)) if chr(code) != "\n")
_VISIBLE = {chr(code): f"\\x{code:02x}" for code in _CONTROLS}
_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
# No markup: keys, queries and what models say are printed, and "[red]" in them is text.
out = Console(soft_wrap=True, highlight=False, markup=False, width=_width)
err = Console(stderr=True, highlight=False, markup=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]


class CommandError(Exception):
    """Ends the command with exit status 1 and this sentence on stderr."""


def print_json(value: Any) -> None:
    """One JSON document on standard output, nothing else."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people; columns without a name get no header line. A cell that is a Text keeps its style."""
    named = any(columns)
    table = Table(
        title=plain(title[:_MOST_OF_A_TITLE]),
        title_justify="left",
        title_style="bold",
        header_style="dim",
        show_header=named,
        box=box.SIMPLE_HEAD,
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else plain("" if cell is None else str(cell)) for cell in row))
    out.print(table)


def plain(text: str, style: str = "") -> Text:
    """Text as it is, its control characters made visible: a key may hold what moves a terminal's cursor."""
    return Text("".join(_VISIBLE.get(character, character) for character in text), style)


def print_line(text: str, style: str = "") -> None:
    """A line for people, never folded, so that it can be copied."""
    out.print(plain(text, style), soft_wrap=True)


def bytes_text(size: int) -> str:
    """`1234567` as `1.2 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")


def exact_time_text(milliseconds: int) -> str:
    """A place in a video as it is: `5344` as `0:05.344`, `4000` as `0:04`."""
    thousandths = milliseconds % 1000
    return time_text(milliseconds) + (f".{thousandths:03}" if thousandths else "")


def cut_text(cut: Mapping[str, Any]) -> str:
    """A way to cut a video: `every 10 s`, `random, 5 to 15 s`, `scenes, 2 to 60 s`."""
    if cut["type"] == "fixed":
        return f"every {cut['duration_seconds']:g} s"
    return f"{cut['type']}, {cut['min_duration']:g} to {cut['max_duration']:g} s"


def counted(number: int, name: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def money_text(micro_dollars: int) -> str:
    """`1234567` as `$1.23`, `123` as `$0.000123`: below a dollar every digit, from a dollar on cents, rounded up."""
    if micro_dollars < 1_000_000:
        return f"${micro_dollars / 1_000_000:.6f}"
    cents = -(-micro_dollars // 10_000)
    return f"${cents // 100:,}.{cents % 100:02}"
