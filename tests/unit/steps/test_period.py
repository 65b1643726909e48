"""Hours as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from media_assets.steps.period import Period, parse_period


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-11-21-22:00..2026-11-22-03:00", at(21, 22), at(22, 3)),
        ("2026-11-21-22:00", at(21, 22), at(21, 22)),
        ("2026-11-21", at(21, 0), at(21, 23)),
        ("2026-11-21..2026-11-22", at(21, 0), at(22, 23)),
        ("2026-11-21-05:00..2026-11-22", at(21, 5), at(22, 23)),
    ],
)
def test_a_period_includes_both_its_ends(text: str, first: datetime, last: datetime) -> None:
    assert parse_period(text) == Period(first, last)


@pytest.mark.parametrize("text", ["", "..", "yesterday", "2026-11-21-22:30", "2026-13-01", "2026-11-21..", "2026-11-21-24:00"])
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no hour and no day; write 2026-11-21-22:00"):
        parse_period(text)


def test_a_period_ends_after_it_begins() -> None:
    with pytest.raises(ValueError, match="2026-11-22 is after 2026-11-21-23:00"):
        parse_period("2026-11-22..2026-11-21-23:00")
