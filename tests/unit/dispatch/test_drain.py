"""What a drain does when all is well, and with files that aren't; tests/contract/pipes has real functions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest, StepRequest
from media_assets.eventlog.store import EventStore
from media_assets.steps.pending import StepCounts
from media_assets.steps.video import video_limits
from tests.unit.dispatch.draining import (
    HOUR,
    Target,
    breaker_is_open,
    claimed_now,
    counts,
    event_types,
    failures,
    is_due,
    per_item,
    run,
    settings,
    upload,
)
from tests.unit.dispatch.works import PROBE, PROBED, answer_to, error, ok

# What a drain does when all is well


def test_everything_that_is_due_is_processed_once(store: EventStore) -> None:
    keys = upload(store, *map(str, range(30)))
    target = Target()
    tallies = run(store, target)
    assert target.times_sent == dict.fromkeys(keys, 1)
    assert counts(store) == StepCounts(done=30)
    tally = tallies[HOUR]
    assert (tally.processed, tally.failed, tally.rejected) == (30, 0, 0)
    assert (tally.bytes_read, tally.milliseconds) == (30 * 1000, 30 * 12)
    assert len(set(tally.sample)) == len(tally.sample) == 24
    assert {event.run_id for event in store.all() if event.payload.type == "MediaProbed"} == {"run-1"}
    assert claimed_now(store) == 0


def test_nothing_due_is_nothing_sent(store: EventStore) -> None:
    target = Target()
    assert run(store, target) == {}
    assert target.requests == []


def test_the_chosen_hours_only_each_with_its_own_figures(store: EventStore) -> None:
    earlier, earliest = HOUR - timedelta(hours=1), HOUR - timedelta(hours=2)
    upload(store, "a", "b")
    upload(store, "c", at=earlier)
    upload(store, "d", at=earliest)
    tallies = run(store, Target(), hours=[HOUR, earlier])
    assert {hour: tally.processed for hour, tally in tallies.items()} == {HOUR: 2, earlier: 1}
    assert counts(store) == StepCounts(pending=1, done=3)


def test_as_many_batches_are_under_way_as_there_are_threads(store: EventStore) -> None:
    upload(store, *map(str, range(24)))

    def slowly(request: StepRequest) -> Manifest:
        time.sleep(0.05)
        return answer_to(request)

    target = Target(slowly)
    run(store, target, dispatch_threads=3)
    assert target.most_at_once == 3


def test_a_request_carries_the_recipe_and_the_limits(store: EventStore) -> None:
    upload(store, "a")
    target = Target()
    run(store, target, max_pixels=77, max_upload_bytes=88)
    (request,) = target.requests
    (item,) = request.items
    assert request.recipe == PROBE.recipe(settings()).digest
    assert request.parameters == {"max_pixels": 77, "max_bytes": 88, **video_limits(settings())}
    assert (request.step, request.attempt) == ("probe", 1)
    assert item.output_prefix == f"derived/{item.item_id}/probe/{request.recipe}/v1/0/"
    assert len({item.item_id, request.batch_id, request.attempt_id}) == 3
    (upload_id,) = (str(event.event_id) for event in store.all() if event.type == "UploadReceived")
    assert (item.correlation_id, item.causation_id) == (upload_id, upload_id)


def test_every_batch_is_committed_as_it_comes_back(store: EventStore) -> None:
    upload(store, *map(str, range(12)))
    done = []
    run(store, Target(), on_batch=lambda message: done.append(counts(store).done), dispatch_threads=1)
    assert done == [4, 8, 12]


def test_two_runs_of_one_hour_share_its_work(store: EventStore) -> None:
    keys = upload(store, *map(str, range(40)))
    target = Target()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(run, store, target, batch_max_items=2) for _ in range(4)]:
            future.result()
    assert target.times_sent == dict.fromkeys(keys, 1)
    assert event_types(store) == {"UploadReceived": 40, "MediaProbed": 40}


# What is wrong with a file


def test_failures_of_a_file_are_counted_and_wait(store: EventStore) -> None:
    (bad,) = upload(store, "bad")
    target = Target(per_item(lambda item: error(item.item_id, ErrorCode.STEP_ERROR)))
    tallies = run(store, target)
    assert (tallies[HOUR].processed, tallies[HOUR].failed) == (0, 1)
    assert target.times_sent[bad] == 1  # not at once again
    assert failures(store) == {bad: (1, "step_error")}
    assert counts(store) == StepCounts(failed=1)
    assert not is_due(store)
    assert not breaker_is_open(store)


def test_a_file_that_fails_leaves_its_neighbours_alone(store: EventStore) -> None:
    keys = upload(store, *map(str, range(4)))
    fate = {keys[1]: ErrorCode.STEP_ERROR, keys[2]: ErrorCode.CORRUPT}
    target = Target(per_item(lambda item: error(item.item_id, fate[item.key]) if item.key in fate else ok(item.item_id)))
    tally = run(store, target)[HOUR]
    assert (tally.processed, tally.failed, tally.rejected) == (2, 1, 1)
    assert counts(store) == StepCounts(failed=1, done=2, rejected=1)


def test_a_file_that_fails_five_times_is_dead(store: EventStore) -> None:
    upload(store, "bad")
    target = Target(per_item(lambda item: error(item.item_id, ErrorCode.STEP_ERROR)))
    for _ in range(7):
        run(store, target, retry_base_seconds=0.001, retry_max_seconds=0.001)
        time.sleep(0.01)
    assert len(target.requests) == 5
    assert [request.attempt for request in target.requests] == [1, 2, 3, 4, 5]
    assert counts(store) == StepCounts(dead=1)
    assert event_types(store) == {"UploadReceived": 1, "StepFailed": 5, "StepAbandoned": 1}


def test_a_text_that_postgres_refuses_fails_nobody(store: EventStore) -> None:
    # A model may write a NUL into a text, or half a surrogate pair.
    keys = upload(store, *"abcd")
    texts = {keys[1]: "NUL \0", keys[2]: "half a pair \ud800"}

    def probed(item: BatchItem) -> ItemOutcome:
        return ok(item.item_id, {**PROBED, "exif": {"camera_make": texts.get(item.key, "Fujifilm")}})

    assert run(store, per_item(probed))[HOUR].processed == 4


def test_reasons_are_counted_by_code(store: EventStore) -> None:
    upload(store, "a", "b", "c", "d")
    codes = iter([ErrorCode.EMPTY, ErrorCode.CORRUPT, ErrorCode.CORRUPT, ErrorCode.STEP_ERROR])

    def refuse(request: StepRequest) -> Manifest:
        return answer_to(request, [error(item.item_id, next(codes)) for item in request.items])

    tallies = run(store, refuse, dispatch_threads=1)
    assert tallies[HOUR].reasons == {"corrupt": 2, "empty": 1, "step_error": 1}
