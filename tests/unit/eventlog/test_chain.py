"""The bytes of the chain are the same in Postgres and in Python, whatever an event says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from media_assets.eventlog.catalogue import SpendingStopped
from media_assets.eventlog.chain import canonical_json, event_bytes, payload_digest
from media_assets.eventlog.events import NewEvent, spending_changed
from media_assets.eventlog.stored import stored_body
from media_assets.eventlog.verify import Verified, verify_chain
from tests.conftest import Database
from tests.unit.eventlog.histories import histories, splits, tell
from tests.unit.eventlog.lives import NOON, NOON_DAY, rows

quickly = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
awkward_numbers = st.sampled_from(
    [-0.0, 0.0, 1.0, 1e16, 1e22, 1e-7, -1e-310, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**53 + 1, -(10**40)]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | awkward_numbers | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=6))


def test_canonical_json_is_the_text_that_postgres_gives_any_value(owner: Connection) -> None:
    """By way of json.dumps, as events get there."""

    @settings(quickly, max_examples=100)
    @given(st.lists(values, min_size=1, max_size=10))
    def check(many: list[Any]) -> None:
        found = owner.execute(
            text("SELECT value::text, payload_digest(value) FROM jsonb_array_elements(CAST(:many AS jsonb))"),
            {"many": json.dumps(many)},
        )
        assert [tuple(row) for row in found] == [(canonical_json(value), payload_digest(value)) for value in many]

    check()


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ({"bb": 1, "a": 2, "ä": 3, "Z": 4, "": 5}, '{"": 5, "Z": 4, "a": 2, "bb": 1, "ä": 3}'),
        ({"a": [], "b": {}, "c": [None, True, False]}, '{"a": [], "b": {}, "c": [null, true, false]}'),
        (["\x01\x1f\x7f\b\f\n\r\t\"\\/", "\u2028é🐈"], '["\\u0001\\u001f\x7f\\b\\f\\n\\r\\t\\"\\\\/", "\u2028é🐈"]'),
        ([1.0, -0.0, 1e16, 2.5e-7, 10**30], "[1.0, 0.0, 10000000000000000, 0.00000025, 1000000000000000000000000000000]"),
    ],
)  # fmt: skip
def test_canonical_json_by_example(owner: Connection, value: Any, canonical: str) -> None:
    assert canonical_json(value) == canonical
    assert owner.execute(text("SELECT CAST(:v AS jsonb)::text"), {"v": json.dumps(value)}).scalar_one() == canonical


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_has_no_canonical_form(number: float) -> None:
    with pytest.raises(ValueError):
        canonical_json([number])


def test_the_bytes_of_an_event_are_those_that_postgres_chained(database: Database, owner: Connection) -> None:
    figures = st.integers(0, 2**31 - 1)
    events = st.builds(
        lambda columns, words: spending_changed(
            "ada",
            SpendingStopped(day=NOON_DAY, limit_micro_dollars=1, spent_micro_dollars=0, step=words),
            account_version=0,
            occurred_at=NOON,
        ).model_copy(update={**columns, "expected_version": None}),
        st.fixed_dictionaries(
            {
                "event_id": st.uuids(),
                "occurred_at": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
                "item_id": st.none() | st.uuids(),
                "recipe": st.none() | texts,
                "run_id": st.none() | texts,
                "attempt_id": st.none() | texts,
                "target_reason": st.none() | texts,
                "generation": st.none() | figures,
                "milliseconds": figures | st.just(2**63 - 1),
                "micro_dollars": figures | st.just(2**63 - 1),
                "tokens_in": figures,
                "correlation_id": st.none() | st.uuids(),
                "causation_id": st.none() | st.uuids(),
            }
        ),
        texts,
    )

    @settings(quickly, max_examples=60)
    @given(st.lists(events, min_size=1, max_size=3, unique_by=lambda event: event.event_id))
    def check(told: list[NewEvent]) -> None:
        owner.rollback()
        database.store.append(told, owner)
        chained = rows(owner, "SELECT e.*, event_bytes(e) AS bytes FROM events e ORDER BY position")
        for row, event in zip(chained, told, strict=True):
            assert event_bytes(row) == row["bytes"]
            assert event_bytes({**row, **event.model_dump()}) == row["bytes"]  # as it was before it was stored
            assert row["payload_sha256"] == payload_digest(stored_body(event.payload))

    check()


def test_every_history_makes_a_chain_that_verifies(database: Database, owner: Connection) -> None:
    """Erasures included."""
    store = database.store

    @settings(quickly, max_examples=25)
    @given(st.data(), histories())
    def check(data: st.DataObject, history: list[NewEvent]) -> None:
        owner.rollback()
        for events in data.draw(splits(history)):
            tell(events, lambda told: store.append(told, owner), lambda told: store.erase(told, owner))
        verified = verify_chain(owner)
        assert isinstance(verified, Verified)
        assert verified.events == verified.head == len({event.event_id for event in history})

    check()
