"""An event's two ways into JSON say the same: the quick one, and the one that replaces what Postgres can't hold."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.stored import batch_json, new_row
from tests.unit.eventlog.histories import LIVES
from tests.unit.eventlog.lives import Life

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
)


@example([(LIVES[0], "", {"\ud800": 1}, [])])
@given(st.lists(st.tuples(st.sampled_from(LIVES), ANY_TEXT, JSON, st.lists(st.floats(-1, 1), max_size=5)), max_size=3))
def test_both_ways_say_the_same(told: Sequence[tuple[Life, str, Any, list[float]]]) -> None:
    events: list[NewEvent] = []
    for life, words, anything, vector in told:
        events += [life.analysis(summary=words, anything=anything), life.embedding(vector=vector or [1.0]), life.upload()]
    assert json.loads(batch_json(events)) == [new_row(event) for event in events]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_and_never_stored_as_something_else(store: EventStore, number: float) -> None:
    with pytest.raises(DBAPIError):
        store.append([Life().analysis(anything={"deep": [number]})])
    assert store.head() == 0
