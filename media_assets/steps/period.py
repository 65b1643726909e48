"""A span of arrival hours, as people write it: with the partition keys that Dagster shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_HOUR = "%Y-%m-%d-%H:%M"


@dataclass(frozen=True)
class Period:
    """UTC hours from `first` to `last`, both included; None is no bound."""

    first: datetime | None = None
    last: datetime | None = None


EVER = Period()


def parse_period(text: str) -> Period:
    """`A..B`, both included, or a single one; each is an hour (`2026-11-21-22:00`) or a day (`2026-11-21`, all its hours).

    Raises ValueError with a sentence for people.
    """
    start, dots, end = text.partition("..")
    first, last = parse_bound(start).first, parse_bound(end if dots else start).last
    if first is not None and last is not None and first > last:
        raise ValueError(f"{start} is after {end}")
    return Period(first, last)


def parse_bound(text: str) -> Period:
    """The hours of one hour or day. Raises ValueError as `parse_period` does."""
    try:
        hour = datetime.strptime(text, _HOUR).replace(tzinfo=UTC)
    except ValueError:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise ValueError(_refusal(text)) from None
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return Period(midnight, midnight + timedelta(hours=23))
    if hour.minute:
        raise ValueError(_refusal(text))
    return Period(hour, hour)


def _refusal(text: str) -> str:
    return (
        f"{text!r} is no hour and no day; write 2026-11-21-22:00 or 2026-11-21, and a span like"
        " 2026-11-21-22:00..2026-11-22-03:00"
    )
