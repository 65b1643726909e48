"""How long to wait before trying again what was refused for its rate."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(base_seconds: float, times: int) -> Iterator[float]:
    """Waits that double from `base_seconds` on, each between half of that and all of it, so that many don't come at once."""
    for number in range(times):
        yield base_seconds * 2**number * random.uniform(0.5, 1)
