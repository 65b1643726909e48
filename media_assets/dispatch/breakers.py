"""Circuit breakers: a target that is down is left alone for 10 s, doubling to 2 min, for as long as it takes.

An outage costs no file an attempt; while a breaker is open, the target's work is not due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text


@dataclass(frozen=True)
class Breaker:
    """A target that failed last. `failures` counts outages and vain attempts in a row; when `is_open` is over, the next batch
    tries the target again."""

    target: str
    failures: int
    open_until: datetime
    reason: str
    is_open: bool

    def text(self) -> str:
        """A sentence for a person."""
        state = "is paused until" if self.is_open else "is tried again with the next batch, after a pause until"
        times = "once" if self.failures == 1 else f"{self.failures} times in a row"
        until = f"{self.open_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.target} {state} {until}; it failed {times}: {self.reason}"


def known_breakers(connection: Connection) -> list[Breaker]:
    """Every target that failed last, also those that the next batch tries again; by name."""
    rows = connection.execute(
        text("SELECT target, failures, open_until, reason, open_until > now() FROM breakers ORDER BY target")
    )
    return [Breaker(*row) for row in rows]


def open_breakers(connection: Connection) -> list[Breaker]:
    """Breakers that keep work from starting now."""
    return [breaker for breaker in known_breakers(connection) if breaker.is_open]


def trip(engine: Engine, target: str, reason: str, *, base_seconds: float, max_seconds: float) -> None:
    """Open the target's breaker, longer each time in a row. Several batches failing in one outage count once."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO breakers AS b (target, failures, open_until, reason)
                VALUES (:target, 1, now() + make_interval(secs => :base), :reason)
                ON CONFLICT (target) DO UPDATE
                SET failures = b.failures + 1, reason = excluded.reason,
                    open_until = now() + make_interval(secs => least(:base * 2 ^ least(b.failures, 20), :max))
                WHERE b.open_until <= now()
            """),
            {"target": target, "reason": reason[:300], "base": base_seconds, "max": max_seconds},
        )


def reset(connection: Connection, target: str) -> None:
    """The target answered: forget that it was down. An open breaker stays: the answer is to a batch sent before the outage."""
    connection.execute(text("DELETE FROM breakers WHERE target = :target AND open_until <= now()"), {"target": target})
