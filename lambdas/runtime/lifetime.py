"""Child processes that live no longer than the one that started them.

A worker that is killed can end nobody any more, and what it was decoding would go on beside the next attempt. On Linux the
kernel ends it; elsewhere it has its own limits only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
"""Looked up before any fork: a child of a process with threads may not load libraries."""


def end_with(parent: int) -> None:
    """Of a child of the process `parent`, before or after it has become another program: be killed when the thread ends that
    started it, or end now if `parent` is gone already."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
