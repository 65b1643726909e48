"""Events reach the bus within five minutes, or the check says which don't."""

from __future__ import annotations

import pytest
from dagster import AssetCheckSeverity, DagsterInstance

from media_assets.defs.checks.outbox import outbox_keeps_up
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import Gallery
from tests.unit.defs.owner import as_owner


@pytest.fixture
def unpublished(gallery: Gallery, database: Database) -> Database:
    """Two events that are to be published, recorded now."""
    item = gallery.upload()
    gallery.probed(item)
    gallery.thumbnailed(item)
    gallery.analysed(item)
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    return database


def let_minutes_pass(database: Database, minutes: int) -> None:
    as_owner(database, "UPDATE events SET recorded_at = recorded_at - make_interval(mins => :minutes)", minutes=minutes)


def test_an_event_may_wait_for_five_minutes(unpublished: Database, instance: DagsterInstance) -> None:
    let_minutes_pass(unpublished, 4)
    evaluation = evaluate(outbox_keeps_up, instance)
    assert evaluation.passed
    assert evaluation.metadata["lag_events"].value == 2
    assert evaluation.metadata["relay_is_at_work"].value is False

    let_minutes_pass(unpublished, 2)
    evaluation = evaluate(outbox_keeps_up, instance)
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.WARN
    assert 360 <= float(str(evaluation.metadata["lag_seconds"].value)) < 420


def test_what_is_published_is_not_late(unpublished: Database, instance: DagsterInstance) -> None:
    let_minutes_pass(unpublished, 60)
    as_owner(unpublished, "INSERT INTO subscribers SELECT 'eventbridge', max(position) FROM events")
    assert evaluate(outbox_keeps_up, instance).passed


def test_a_held_event_is_late_as_well_and_named(unpublished: Database, instance: DagsterInstance) -> None:
    let_minutes_pass(unpublished, 60)
    as_owner(unpublished, "INSERT INTO subscribers SELECT 'eventbridge', max(position) FROM events")
    as_owner(
        unpublished,
        "INSERT INTO outbox_held (subscriber, position, stream_id, attempts, error)"
        " VALUES ('eventbridge', 3, 'item-x', 7, 'MalformedDetail: no')",
    )
    evaluation = evaluate(outbox_keeps_up, instance)
    assert not evaluation.passed
    assert found(evaluation) == "- item-x, position 3, refused 7 times: MalformedDetail: no"
