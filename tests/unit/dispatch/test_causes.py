"""From one event to the next: whatever a drain records says which upload it is for and which event led to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, OutputObject
from media_assets.dispatch.drain import drain
from media_assets.eventlog.events import hour_of, item_stream
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.story import tell
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.reprocess import request_reprocessing
from tests.conftest import received
from tests.unit.dispatch.works import FunctionTarget, answer_to, error, ok

UPLOAD = received()
assert UPLOAD.item_id is not None
ITEM = UPLOAD.item_id


def run(store: EventStore, step: str, run_id: str, outcome_of: Callable[[BatchItem], ItemOutcome]) -> None:
    """A run that drains a step of the upload's hour."""
    drain(
        STEPS[step],
        [hour_of(UPLOAD.occurred_at)],
        store=store,
        settings=Settings(retry_base_seconds=0.001),
        targets={"lambda": FunctionTarget(lambda request: answer_to(request, [outcome_of(item) for item in request.items]))},
        run_id=run_id,
    )


def failing_once(code: ErrorCode) -> Callable[[BatchItem], ItemOutcome]:
    """Fails the first time, and probes the second."""
    outcomes: Iterator[Callable[[BatchItem], ItemOutcome]] = iter(
        [lambda item: error(item.item_id, code), lambda item: ok(item.item_id)]
    )
    return lambda item: next(outcomes)(item)


def thumbnails(item: BatchItem) -> ItemOutcome:
    picture = OutputObject(
        key=f"{item.output_prefix}256.webp",
        sha256="ab" * 32,
        size_bytes=9,
        content_type="image/webp",
        attributes={"size": 256, "width": 256, "height": 171},
    )
    return ok(item.item_id, {"placeholder": "3OcRJYB4"}, [picture])


def test_the_whole_life_of_an_upload_is_one_story(store: EventStore) -> None:
    store.append([UPLOAD])
    fails = failing_once(ErrorCode.TIMEOUT)
    run(store, "probe", "run-1", fails)
    time.sleep(0.05)  # the retry's time has come, unless the run has seen to it itself
    run(store, "probe", "run-1", fails)
    run(store, "thumbnail", "run-2", lambda item: error(item.item_id, ErrorCode.STEP_ERROR, retryable=False))
    request_reprocessing(store, [ITEM], ["thumbnail"], reason="the bug is fixed")
    run(store, "thumbnail", "run-3", thumbnails)
    run(store, "analyze", "run-3", lambda item: error(item.item_id, ErrorCode.SOURCE_GONE, retryable=False))

    history = store.stream(item_stream(ITEM))
    assert {event.correlation_id for event in history} == {UPLOAD.event_id}
    assert [(told.depth, told.event.type, told.event.run_id) for told in tell(history)] == [
        (0, "UploadReceived", None),
        (1, "StepFailed", "run-1"),
        (2, "MediaProbed", "run-1"),
        (3, "StepFailed", "run-2"),
        (4, "StepAbandoned", "run-2"),
        (5, "ReprocessRequested", None),
        (6, "ThumbnailCreated", "run-3"),
        (7, "UploadRemoved", "run-3"),
    ]
    assert [told.cause and told.cause.event_id for told in tell(history)] == [event.causation_id for event in history]


def test_a_later_version_begins_its_own(store: EventStore) -> None:
    newer = received(version="v2", sequencer="02")
    store.append([UPLOAD])
    run(store, "probe", "run-1", lambda item: ok(item.item_id))
    store.append([newer])
    run(store, "probe", "run-2", lambda item: ok(item.item_id))
    assert [(told.depth, told.event.correlation_id, told.event.causation_id) for told in tell(store.all())] == [
        (0, UPLOAD.event_id, None),
        (1, UPLOAD.event_id, UPLOAD.event_id),
        (0, newer.event_id, None),
        (1, newer.event_id, newer.event_id),
    ]


def test_what_was_asked_for_before_an_upload_is_no_cause_of_what_follows_it(store: EventStore) -> None:
    """Its generation counts for later versions too, and they would have been processed anyway."""
    newer = received(version="v2", sequencer="02")
    store.append([UPLOAD])
    run(store, "probe", "run-1", lambda item: ok(item.item_id))
    request_reprocessing(store, [ITEM], ["probe"], reason="the bug is fixed")
    store.append([newer])
    run(store, "probe", "run-2", lambda item: ok(item.item_id))
    *_, probed = store.all()
    assert (probed.type, probed.generation) == ("MediaProbed", 1)
    assert (probed.correlation_id, probed.causation_id) == (newer.event_id, newer.event_id)
