"""Circuit breakers: a target that is down is left alone for 10 s, doubling to 2 min, for as long as it takes.

An outage costs no file an attempt; while a breaker is open, the target's work is not due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text


@dataclass(frozen=True)
class OpenBreaker:
    target: str
    failures: int
    open_until: datetime
    reason: str


def open_breakers(connection: Connection) -> list[OpenBreaker]:
    """Breakers that keep work from starting now."""
    rows = connection.execute(text("SELECT target, failures, open_until, reason FROM breakers WHERE open_until > now()"))
    return [OpenBreaker(*row) for row in rows]


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
