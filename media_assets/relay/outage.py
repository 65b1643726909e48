"""An outage is said once, however often it is run into, and tried again at growing intervals."""

from __future__ import annotations

import random
from collections.abc import Callable

Say = Callable[[str], None]


class Outage:
    """Of one thing that the relay depends on, called `name` in sentences."""

    def __init__(self, name: str, say: Say, *, base_seconds: float, max_seconds: float) -> None:
        self._name = name
        self._say = say
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        self._failures = 0

    def failed(self, reason: str) -> float:
        """Seconds to wait before trying again: doubled with each failure, with a jitter of half of it."""
        if not self._failures:
            self._say(f"{self._name} can't be used ({reason}); trying again until it can")
        wait = min(self._max_seconds, self._base_seconds * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return wait * random.uniform(0.5, 1)

    def over(self) -> None:
        """It works; said if it didn't before."""
        if self._failures:
            self._say(f"{self._name} can be used again, after {self._failures} failed attempts")
        self._failures = 0
