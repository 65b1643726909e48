"""What a drain of a step of videos comes to in figures."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from lambdas.runtime.contract import ErrorCode
from media_assets.dispatch.outcomes import RetryPolicy, record
from media_assets.dispatch.routing import Route
from media_assets.dispatch.tally import Tally, count
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Job, Work
from tests.unit.dispatch.works import NOW, answer_to, error, ok, request_for, video_work

SEGMENT = STEPS["segment"]
OPTIONS = {"cutting_options": {"type": "fixed", "duration_seconds": 5}, "exact": False, "text_input": None}


def tallied(works: list[Work], *, failing: list[Work]) -> Tally:
    """What is counted of these works, of which the failing ones will never succeed."""
    request = request_for(works, SEGMENT)
    outcomes = [error(work.item_id, ErrorCode.CORRUPT) if work in failing else ok(work.item_id, halves(work)) for work in works]
    recorded = record(
        works,
        answer_to(request, outcomes),
        step=SEGMENT,
        recipe_of=lambda work: SEGMENT.recipe_of(work, Settings()),
        policy=RetryPolicy(5, 10, 120),
        route=Route("ecs", "long_work"),
        run_id="run-1",
        now=NOW,
        charges={work.item_id: 1 for work in works},
        owed={},
    )
    tallies: defaultdict[datetime, Tally] = defaultdict(Tally)
    count(tallies, recorded, [])
    [tally] = tallies.values()
    return tally


def halves(work: Work) -> dict[str, object]:
    segments = [
        {
            "index": index,
            "start_ms": index * 5000,
            "end_ms": index * 5000 + 5000,
            "key": f"processed/{work.item_id}/segment_{index:03d}.mp4",
            "sha256": "0" * 64,
            "size_bytes": 1000,
            "text": None,
        }
        for index in range(2)
    ]
    return {"mode": "copied", "duration_ms": 10_000, "segments": segments}


def test_a_video_that_jobs_cut_is_one_video_and_its_seconds_count_each_time() -> None:
    own, first = video_work(), video_work(options=OPTIONS)
    second = replace(first, item_id=uuid.uuid4(), job=Job(own.item_id, OPTIONS))
    first = replace(first, job=Job(own.item_id, OPTIONS))
    tally = tallied([own, first, second], failing=[])
    assert (tally.processed, tally.videos, tally.video_ms) == (3, {own.item_id}, 30_000)
    assert tally.figures == {"segments": 6, "jobs_completed": 2}
    assert tally.modes == {"copied": 3}
    assert tally.sample == [own.item_id, first.item_id, second.item_id]


def test_a_job_that_cant_be_done_counts_as_failed_and_gives_no_seconds() -> None:
    job, own = video_work(options=OPTIONS), video_work()
    tally = tallied([job, own], failing=[job])
    assert (tally.processed, tally.rejected, tally.video_ms) == (1, 1, 10_000)
    assert tally.figures == {"segments": 2, "jobs_failed": 1}
    assert tally.videos == {own.item_id}
    assert tally.targets == {"ecs": 2}
    assert tally.reasons.total() == 1
