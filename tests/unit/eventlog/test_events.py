"""What makes two tellings the same fact, and which payloads are facts at all."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from media_assets.eventlog.catalogue import CATALOGUE, AnalysisCompleted, EmbeddingStored
from media_assets.eventlog.events import NewEvent, deterministic_id, hour_of, item_id_of
from tests.unit.eventlog.lives import NOON, Life

cat = Life()


def same_fact(first: NewEvent, second: NewEvent) -> bool:
    return first.event_id == second.event_id


def test_ids_stay_what_they_are() -> None:
    """They are in every log that was ever written: a change here would double facts."""
    assert str(item_id_of("photos", "uploads/ada/cat.jpg")) == "33c6516e-0c63-56ee-997d-d9529413f1f3"
    assert str(cat.upload().event_id) == "6fdbf66f-c174-5d32-83fc-edc12edb3d0e"
    assert str(cat.probed().event_id) == "8153d4d2-6f4c-5740-a6ed-a27fa38bd722"
    assert str(cat.failed("probe").event_id) == "b2bac283-4be6-577b-b0d6-03bdfd90d4ee"


def test_an_upload_is_its_version_and_neither_its_time_nor_its_etag() -> None:
    late = cat.upload(at=NOON.replace(hour=20))
    assert same_fact(late, cat.upload())
    assert same_fact(cat.upload(sequencer="99"), cat.upload())
    assert not same_fact(cat.upload("v2"), cat.upload("v1"))
    assert not same_fact(Life("uploads/ada/dog.jpg").upload(), cat.upload())


def test_an_outcome_is_item_version_step_recipe_and_generation() -> None:
    assert same_fact(cat.probed(width=7), cat.probed())
    assert same_fact(cat.rejected(), cat.probed())
    assert not same_fact(cat.probed("v2"), cat.probed())
    assert not same_fact(cat.probed(generation=1), cat.probed())
    assert not same_fact(cat.probed(recipe="r2"), cat.probed())
    assert not same_fact(cat.thumbnails(), cat.probed())


def test_a_failure_is_its_attempt() -> None:
    assert same_fact(cat.failed("probe", attempt="a1", code="crashed"), cat.failed("probe", attempt="a1"))
    assert not same_fact(cat.failed("probe", attempt="a2"), cat.failed("probe", attempt="a1"))
    assert not same_fact(cat.abandoned("probe"), cat.failed("probe"))


def test_a_request_is_its_generation_whoever_asks() -> None:
    assert same_fact(cat.reprocess("embed", 1), cat.reprocess("embed", 1))
    assert not same_fact(cat.reprocess("embed", 2), cat.reprocess("embed", 1))
    assert not same_fact(cat.reprocess("probe", 1), cat.reprocess("embed", 1))


@given(st.lists(st.text()), st.lists(st.text()))
def test_no_two_lists_of_parts_share_an_id(first: list[str], second: list[str]) -> None:
    assert (deterministic_id(*first) == deterministic_id(*second)) == (first == second)


def test_the_catalogue_names_every_payload_by_its_type() -> None:
    assert all(payload.type == name and payload.schema_version >= 1 for name, payload in CATALOGUE.items())
    assert set(CATALOGUE) == {
        "UploadReceived",
        "MediaProbed",
        "UploadRejected",
        "UploadRemoved",
        "ThumbnailCreated",
        "DetectionsCompleted",
        "AnalysisCompleted",
        "EmbeddingStored",
        "StepFailed",
        "ItemErased",
        "SpendingStopped",
        "SpendingResumed",
        "StepAbandoned",
        "ReprocessRequested",
    }


def test_events_and_payloads_are_frozen() -> None:
    event = cat.upload()
    with pytest.raises(ValidationError, match="frozen"):
        event.user_id = "eve"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        event.payload.key = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize("user", ["", "Ada", "a b", "ada\n", "a" * 65, "ä"])
def test_a_user_is_a_short_lower_case_name(user: str) -> None:
    with pytest.raises(ValidationError, match="user_id"):
        NewEvent.model_validate(cat.upload().model_dump() | {"user_id": user, "payload": cat.upload().payload})


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        NewEvent.model_validate(
            cat.upload().model_dump() | {"occurred_at": datetime(2026, 7, 1), "payload": cat.upload().payload}
        )


@pytest.mark.parametrize("missing", ["category", "summary", "tags", "objects", "text", "dominant_colours"])
def test_an_analysis_that_the_read_model_could_not_show_is_no_event(missing: str) -> None:
    """It would fail inside the append, and take every other outcome of its batch along."""
    analysis = cat.analysis().payload
    assert isinstance(analysis, AnalysisCompleted)
    for broken in (
        {name: value for name, value in analysis.analysis.items() if name != missing},
        {**analysis.analysis, missing: None},
        {**analysis.analysis, missing: 7},
    ):
        with pytest.raises(ValidationError, match=missing):
            AnalysisCompleted.model_validate(analysis.model_dump() | {"analysis": broken})


@pytest.mark.parametrize(
    ("vector", "reason"), [((1.0, 0.0), "has not 3 dimensions"), ((1.0, float("nan"), 0.0), "finite"), ((), "dimensions")]
)
def test_a_vector_is_finite_and_of_its_dimensions(vector: tuple[float, ...], reason: str) -> None:
    payload = cat.embedding().payload
    with pytest.raises(ValidationError, match=reason):
        EmbeddingStored.model_validate(payload.model_dump() | {"vector": vector})


def test_the_hour_of_a_moment_is_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-07-01T01:30:00+02:00")) == datetime.fromisoformat("2026-06-30T23:00:00+00:00")
