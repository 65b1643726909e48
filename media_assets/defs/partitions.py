"""An hour of arrival is the unit of a run, of a backfill and of the picture in the UI."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from dagster import HourlyPartitionsDefinition

from media_assets.settings import get_settings

_FORMAT = "%Y-%m-%d-%H:%M"

# end_offset=1: without it the running hour is no partition yet and a fresh upload couldn't be materialized.
HOURS = HourlyPartitionsDefinition(start_date=get_settings().first_hour.strftime(_FORMAT), end_offset=1, timezone="UTC")


def key_of(hour: datetime) -> str:
    """The partition key of a UTC hour, e.g. `2026-03-01-14:00`."""
    return hour.astimezone(UTC).strftime(_FORMAT)


def hours_of(keys: Iterable[str]) -> list[datetime]:
    """The UTC hours of partition keys."""
    return [datetime.strptime(key, _FORMAT).replace(tzinfo=UTC) for key in keys]
