"""From outcomes to events: every code there is, the retry policy as a table, and what an outcome costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.runtime.contract import Disposition, ErrorCode, ItemOutcome, OutputObject
from media_assets.dispatch.errors import ManifestError
from media_assets.dispatch.outcomes import Recorded, RetryPolicy, record
from media_assets.dispatch.routing import Route
from media_assets.eventlog.catalogue import (
    MediaProbed,
    StepAbandoned,
    StepFailed,
    ThumbnailCreated,
    UploadRejected,
    UploadRemoved,
)
from media_assets.eventlog.events import NewEvent, Trace
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Step, Work
from tests.unit.dispatch.works import NOW, PROBE, THUMBNAIL, answer_to, error, ok, request_for, work

POLICY = RetryPolicy(max_attempts=5, base_seconds=10, max_seconds=120)


def recorded(works: list[Work], outcomes: list[ItemOutcome], step: Step = PROBE) -> Recorded:
    request = request_for(works, step)
    return record(
        works,
        answer_to(request, outcomes),
        step=step,
        recipe_of=lambda each: step.recipe_of(each, Settings()),
        policy=POLICY,
        route=Route("lambda", "only_target"),
        run_id="run-1",
        now=NOW,
        charges={item.item_id: 7 for item in works},
        owed={works[0].item_id: 100},
    )


def trace_of(event: NewEvent) -> Trace:
    return Trace(correlation_id=event.correlation_id, causation_id=event.causation_id)


def codes(disposition: Disposition) -> list[ErrorCode]:
    return [code for code in ErrorCode if code.disposition is disposition]


@pytest.mark.parametrize(
    ("failures", "retryable", "seconds"),
    [(1, True, 10), (2, True, 20), (3, True, 40), (4, True, 80), (5, True, None), (6, True, None),
     (1, False, None), (4, False, None)],
)  # fmt: skip
def test_the_retry_policy(failures: int, retryable: bool, seconds: int | None) -> None:
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert POLICY.retry_at(failures, retryable, NOW) == expected


def test_the_wait_stops_doubling_at_its_maximum() -> None:
    patient = RetryPolicy(max_attempts=100, base_seconds=10, max_seconds=120)
    waits = [patient.retry_at(failures, True, NOW) for failures in range(1, 8)]
    assert waits == [NOW + timedelta(seconds=seconds) for seconds in (10, 20, 40, 80, 120, 120, 120)]


@given(st.integers(1, 50), st.integers(1, 60), st.floats(0.1, 100), st.floats(1, 1000))
def test_no_failure_waits_longer_than_the_maximum(max_attempts: int, failures: int, base: float, maximum: float) -> None:
    retry_at = RetryPolicy(max_attempts, base, maximum).retry_at(failures, True, NOW)
    assert (retry_at is None) == (failures >= max_attempts)
    if retry_at is not None:
        assert NOW <= retry_at <= NOW + timedelta(seconds=maximum, microseconds=1)


def test_a_result_becomes_the_steps_event_with_its_cost() -> None:
    item = work()
    found = recorded([item], [ok(item.item_id)])
    (event,) = found.events
    assert isinstance(event.payload, MediaProbed)
    assert (event.payload.width, event.payload.height, event.payload.orientation) == (20, 30, 6)
    assert (event.item_id, event.user_id, event.step, event.generation) == (item.item_id, "ada", "probe", 0)
    assert event.recipe == PROBE.recipe(Settings()).digest
    assert (event.target, event.run_id, event.memory_mb) == ("lambda", "run-1", PROBE.memory_mb)
    assert (event.milliseconds, event.tokens_in, event.tokens_out) == (12, 3, 4)
    assert event.micro_dollars == 7 + 100
    assert event.occurred_at == NOW
    assert trace_of(event) == item.trace
    assert (found.processed, found.outages) == ([item], [])


def test_outputs_become_part_of_the_event() -> None:
    item = work("thumbnail")
    prefix = request_for([item], THUMBNAIL).items[0].output_prefix
    attributes = {"size": 256, "width": 256, "height": 171}
    output = OutputObject(
        key=f"{prefix}256.webp", sha256="ab" * 32, size_bytes=9, content_type="image/webp", attributes=attributes
    )
    (event,) = recorded([item], [ok(item.item_id, {"placeholder": "3OcRJYB4"}, [output])], THUMBNAIL).events
    assert isinstance(event.payload, ThumbnailCreated)
    (thumbnail,) = event.payload.thumbnails
    assert (thumbnail.key, thumbnail.sha256, thumbnail.width) == (f"{prefix}256.webp", "ab" * 32, 256)


@pytest.mark.parametrize("code", codes(Disposition.REJECT))
@pytest.mark.parametrize("step", [PROBE, THUMBNAIL], ids=lambda step: step.name)
def test_a_file_that_cant_be_processed_is_rejected_for_good(code: ErrorCode, step: Step) -> None:
    item = work(step.name)
    found = recorded([item], [error(item.item_id, code, retryable=True)], step)
    (event,) = found.events
    assert event.payload == UploadRejected(version_id="v1", code=code, message="a sentence")
    assert event.step == step.name
    assert trace_of(event) == item.trace
    assert (found.rejected, found.failed, found.outages) == ([item], [], [])


@pytest.mark.parametrize("code", codes(Disposition.GONE))
def test_a_version_that_is_gone_is_removed(code: ErrorCode) -> None:
    item = work()
    found = recorded([item], [error(item.item_id, code, retryable=False)])
    (event,) = found.events
    assert event.payload == UploadRemoved(version_id="v1")
    assert (event.step, event.target, event.micro_dollars) == ("probe", "lambda", 107)
    assert trace_of(event) == item.trace
    assert (found.failed, found.outages) == ([], [])


@pytest.mark.parametrize("code", codes(Disposition.AGAIN))
def test_an_item_that_wasnt_attempted_leaves_no_trace(code: ErrorCode) -> None:
    item = work(failures=4)
    found = recorded([item], [error(item.item_id, code)])
    assert (found.events, found.postponed, found.outages) == ([], [item], [])
    assert found.owed == {item.item_id: 7}  # beside what it owes already


@pytest.mark.parametrize("code", codes(Disposition.OUTAGE))
@pytest.mark.parametrize("retryable", [True, False])
def test_an_outage_is_nobodys_failure(code: ErrorCode, retryable: bool) -> None:
    item = work(failures=4)
    found = recorded([item], [error(item.item_id, code, retryable=retryable, message="no answer")])
    assert (found.events, found.postponed, found.outages) == ([], [item], [f"{code}: no answer"])
    assert found.owed == {item.item_id: 7}


@pytest.mark.parametrize("code", codes(Disposition.FAIL))
def test_a_files_own_failure_is_tried_again(code: ErrorCode) -> None:
    item = work(failures=1)
    found = recorded([item], [error(item.item_id, code)])
    (event,) = found.events
    assert event.payload == StepFailed(version_id="v1", code=code, message="a sentence", retry_at=NOW + timedelta(seconds=20))
    assert trace_of(event) == item.trace
    assert found.failed == [item]


@pytest.mark.parametrize(("failures", "retryable"), [(4, True), (0, False)], ids=["the fifth", "one that never heals"])
def test_the_last_failure_of_a_file_ends_its_step(failures: int, retryable: bool) -> None:
    item = work(failures=failures)
    found = recorded([item], [error(item.item_id, ErrorCode.STEP_ERROR, retryable=retryable)])
    failed, abandoned = (event.payload for event in found.events)
    assert [trace_of(event) for event in found.events] == [
        item.trace,
        Trace(correlation_id=item.trace.correlation_id, causation_id=found.events[0].event_id),
    ]
    assert isinstance(failed, StepFailed)
    assert failed.retry_at is None
    assert abandoned == StepAbandoned(version_id="v1", code=ErrorCode.STEP_ERROR, message="a sentence", failures=failures + 1)
    assert [event.micro_dollars for event in found.events] == [107, 0]
    assert sum(event.milliseconds for event in found.events[1:]) == 0  # what it cost is in the first event only


def test_an_attempt_is_told_once_and_two_attempts_twice() -> None:
    item = work()
    request = request_for([item])
    outcome = error(item.item_id, ErrorCode.STEP_ERROR)

    def ids(attempt_id: str) -> list[object]:
        manifest = answer_to(request, [outcome]).model_copy(update={"attempt_id": attempt_id})
        recipe = PROBE.recipe(Settings())
        found = record(
            [item],
            manifest,
            step=PROBE,
            recipe_of=lambda _: recipe,
            policy=POLICY,
            route=Route("lambda", "only_target"),
            run_id=None,
            now=NOW,
            charges={item.item_id: 7},
            owed={},
        )
        return [event.event_id for event in found.events]

    assert ids("a1") == ids("a1")
    assert ids("a1") != ids("a2")


def test_one_bad_file_changes_nothing_for_its_neighbours() -> None:
    works = [work() for _ in range(6)]
    outcomes = [
        ok(works[0].item_id),
        error(works[1].item_id, ErrorCode.CORRUPT),
        error(works[2].item_id, ErrorCode.STEP_ERROR),
        error(works[3].item_id, ErrorCode.NOT_STARTED),
        error(works[4].item_id, ErrorCode.STORAGE_UNAVAILABLE),
        ok(works[5].item_id),
    ]
    found = recorded(works, outcomes)
    assert [each.payload.type for each in found.events] == ["MediaProbed", "UploadRejected", "StepFailed", "MediaProbed"]
    assert found.processed == [works[0], works[5]]
    assert found.rejected == [works[1]]
    assert found.failed == [works[2]]
    assert found.postponed == [works[3], works[4]]


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("probe", {}),
        ("probe", {"kind": "image"}),
        ("probe", {"kind": "sound", "format": "mp3", "content_type": "a/b", "upright_width": 1, "upright_height": 1,
                   "orientation": 1}),
        ("probe", {"kind": "image", "format": "jpeg", "content_type": "image/jpeg", "upright_width": 0, "upright_height": 1,
                   "orientation": 1}),
        ("thumbnail", {}),
        ("thumbnail", {"placeholder": "3OcRJYB4"}),
        ("analyze", {"provider": "local", "model": "m"}),
        ("embed", {"model": "m", "dimensions": 3, "vector": [1.0, 0.0]}),
        ("embed", {"model": "m", "dimensions": 2, "vector": [1.0, 1.0]}),
        ("embed", {"model": "m", "dimensions": 2, "vector": ["a", "b"]}),
        ("embed", {"model": "m", "dimensions": 2, "vector": None}),
    ],
)  # fmt: skip
def test_a_result_that_isnt_the_steps_is_a_lie(step: str, result: dict[str, object]) -> None:
    works = [work(step), work(step)]
    with pytest.raises(ManifestError, match=f"{step} answered for item"):
        recorded(works, [ok(each.item_id, result) for each in works], STEPS[step])
