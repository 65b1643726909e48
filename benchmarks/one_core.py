"""How long something takes on one core: CPU time of the process with all its threads, which others' load changes little."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def milliseconds(work: Callable[[], T]) -> tuple[float, T]:
    """CPU milliseconds of a call, and what it returned."""
    began = time.process_time()
    made = work()
    return (time.process_time() - began) * 1000, made
