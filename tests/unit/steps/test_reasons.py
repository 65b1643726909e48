"""What a run's tags say of why it was asked for, from the state of its hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.pending import Due, Kind
from media_assets.steps.reasons import Reasons, reasons
from tests.unit.eventlog.lives import HOUR, Life

cat, dog, fox = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "fox"))


def why(store: EventStore, *hours: datetime, kind: Kind = "new") -> dict[datetime, Reasons]:
    with store.engine.connect() as connection:
        found = reasons(connection, [Due("image", hour, kind) for hour in hours])
    return {due.hour: each for due, each in found.items()}


def test_each_item_counts_once_a_step_by_what_made_it_due(store: EventStore) -> None:
    passed = datetime.now(UTC) - timedelta(seconds=1)
    store.append([cat.upload(), dog.upload(), fox.upload()])
    store.append([cat.probed(), dog.failed("probe", retry_at=passed), *fox.processed(), fox.reprocess("embed")])
    uploads = (cat.upload().event_id, dog.upload().event_id)
    assert why(store, HOUR) == {HOUR: Reasons(first_tries=1, retries=1, recomputations=0, uploads=uploads)}
    again = {HOUR: Reasons(first_tries=0, retries=0, recomputations=1, uploads=(fox.upload().event_id,))}
    assert why(store, HOUR, kind="again") == again


def test_an_upload_is_named_once_however_many_of_its_steps_are_due(store: EventStore) -> None:
    store.append([*cat.done(), cat.reprocess("embed"), cat.reprocess("analyze"), cat.reprocess("thumbnail")])
    (found,) = why(store, HOUR, kind="again").values()
    assert found == Reasons(first_tries=0, retries=0, recomputations=1, uploads=(cat.upload().event_id,))


def test_only_what_could_start_now_and_only_in_the_chosen_hours(store: EventStore) -> None:
    earlier = HOUR - timedelta(hours=1)
    store.append([cat.upload(), dog.upload(), fox.upload(at=earlier)])
    store.append([dog.failed("probe", retry_at=datetime.now(UTC) + timedelta(minutes=1))])
    assert why(store, earlier)[earlier].uploads == (fox.upload().event_id,)
    Claims(store.engine, run_id="run-1", lease_seconds=30).take(STEPS["probe"], [HOUR], 10)
    assert why(store, HOUR) == {}
    assert why(store) == {}
