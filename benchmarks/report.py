"""What `make bench` leaves behind: a table, results.json and a plot of the ratios, results.svg.

A benchmark that runs replaces its own figures and leaves those of others in the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")
Entry = dict[str, Any]


def merge(entries: Sequence[Entry], ran: Sequence[Entry]) -> list[Entry]:
    """`entries` with those of the benchmarks that `ran` replaced, in order of their names."""
    names = {entry["name"] for entry in ran}
    return sorted([*(entry for entry in entries if entry["name"] not in names), *ran], key=lambda entry: str(entry["name"]))


def load(path: Path = RESULTS) -> list[Entry]:
    return json.loads(path.read_text()) if path.exists() else []


def save(entries: Sequence[Entry], path: Path = RESULTS) -> None:
    """The JSON list, and the plot beside it."""
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".svg").write_text(plot(entries))


def table(entries: Sequence[Entry]) -> Table:
    shown = Table("benchmark", "variant", "unit", "ours", "against", "ratio", "goal", "met", box=None)
    for column in shown.columns[3:6]:
        column.justify = "right"
    for entry in entries:
        met = {True: "yes", False: "[red]no", None: ""}[entry["met"]]
        figures = (f"{entry[name]:,}" for name in ("ours", "against", "ratio"))
        shown.add_row(entry["name"], entry["variant"], entry["unit"], *figures, entry["goal"] or "", met)
    return shown


def plot(entries: Sequence[Entry]) -> str:
    """An SVG: a bar a figure, as long as its ratio, with a mark where its goal is."""
    label, scale, row = 470, 300, 22
    longest = max((max(entry["ratio"], _goal(entry)) for entry in entries), default=1.0)
    unit = scale / max(longest, 1.0)
    height = row * (len(entries) + 1) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{label + scale + 80}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<line x1="{label + unit:.1f}" y1="6" x2="{label + unit:.1f}" y2="{height - row}" stroke="#bbb"/>',
        f'<text x="{label + unit:.1f}" y="{height - 8}" text-anchor="middle" fill="#666">1 × · a black mark is a goal</text>',
    ]
    for number, entry in enumerate(entries):
        top = 8 + number * row
        colour = {True: "#4a8f5c", False: "#c25b4e", None: "#7d8ca3"}[entry["met"]]
        length, goal = entry["ratio"] * unit, _goal(entry) * unit
        name = escape(f"{entry['name']}: {entry['variant']}")
        parts.append(f'<text x="{label - 8}" y="{top + 12}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="{label}" y="{top}" width="{length:.1f}" height="16" fill="{colour}"/>')
        if goal:
            parts.append(f'<rect x="{label + goal - 1:.1f}" y="{top - 2}" width="2" height="20"/>')
        parts.append(f'<text x="{label + max(length, goal) + 6:.1f}" y="{top + 12}">{entry["ratio"]} ×</text>')
    return "\n".join([*parts, "</svg>", ""])


def _goal(entry: Entry) -> float:
    return float(entry["goal"].split()[1]) if entry["goal"] else 0.0
