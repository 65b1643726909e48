"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def eventually(holds: Callable[[], Any], seconds: float = 15) -> Any:
    """What `holds()` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.02)
    return result


def is_running(pid: int) -> bool:
    """Whether a process goes on. One that nobody has waited for yet doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
