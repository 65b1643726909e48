"""Random histories of photos, videos and jobs."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from hypothesis import strategies as st

from media_assets.eventlog.catalogue import FrameReceived, ItemErased
from media_assets.eventlog.events import NewEvent, item_erased
from tests.unit.eventlog.films import Film, Job, frame_done
from tests.unit.eventlog.lives import NOON, Life, spending_resumed, spending_stopped
from tests.unit.eventlog.readings import UPSTREAM

LIVES = (Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg"))
SECOND_LIVES = tuple(replace(life, incarnation=1) for life in LIVES)
"""What is uploaded under the keys after the first lives were erased."""
FILM = Film()
SECOND_FILM = replace(FILM, incarnation=1)
VERSIONS = {"v1": "0A", "v2": "0A10", "v3": "05"}
"""Versions with their sequencers: v2 is the newest, v3 the oldest, whatever order they become known in. Their etags are
equal, as those of A are in A, B, A."""


Stories = st.SearchStrategy[list[NewEvent]]
"""Events that are told one after the other."""


def histories() -> Stories:
    """Anything that may be told of photos, or of a video, its frames and jobs, in any order: sensible lives, outcomes that come
    late, twice or never, erasures and what is uploaded afterwards. Every event of one is accepted, be it as a repeat."""
    return st.one_of(histories_of_photos(), histories_of_films())


def histories_of_photos() -> Stories:
    """Of two keys and their user."""
    lives = st.sampled_from([*LIVES, *LIVES, *SECOND_LIVES])
    versions = st.sampled_from(["v2", "v2", "v2", "v1", "v3"])
    steps = st.sampled_from(sorted(UPSTREAM["image"]))
    outcomes = _outcomes()
    attempts, retries = _attempts()
    failures = (lives, versions, steps, attempts, retries, outcomes)

    def of_version(make: Callable[..., NewEvent], *drawn: st.SearchStrategy[Any]) -> Stories:
        """`make(life, version, …)` of what is drawn after a life and a version."""
        return _story(lambda life, version, *values: [make(life, named(life, version), *values)], lives, versions, *drawn)

    def account(stops_and_resumptions: list[bool]) -> list[NewEvent]:
        makers = [spending_stopped if stopped else spending_resumed for stopped in stops_and_resumptions]
        return [make(version) for version, make in enumerate(makers)]

    happenings = st.one_of(
        _story(_upload, lives, versions),
        _story(_processed, lives, versions, outcomes),
        _story(_processed, lives, versions, outcomes),
        _story(_reprocessed, lives, versions, outcomes, st.sets(steps)),
        of_version(lambda life, v, key: life.probed(v, **key), outcomes),
        of_version(lambda life, v, s, key: life.rejected(v, step=s, **key), steps, outcomes),
        of_version(
            lambda life, v, sizes, key: life.thumbnails(v, sizes=sorted(sizes), **key),
            st.sets(st.sampled_from([64, 256, 800]), min_size=1),
            outcomes,
        ),
        of_version(
            lambda life, v, labels, key: life.detections(v, labels=labels, **key),
            st.lists(st.sampled_from(["cat", "dog", "sofa"]), max_size=3),
            outcomes,
        ),
        of_version(lambda life, v, words, key: life.analysis(v, summary=words, **key), st.text(), outcomes),
        of_version(lambda life, v, key: life.embedding(v, **key), outcomes),
        of_version(lambda life, v, s, a, at, key: life.failed(s, v, attempt=a, retry_at=at, **key), *failures[2:]),
        of_version(lambda life, v, s, a, at, key: life.failed_in_v1(s, v, attempt=a, retry_at=at, **key), *failures[2:]),
        of_version(lambda life, v, s, key: life.abandoned(s, v, **key), steps, outcomes),
        of_version(lambda life, v: life.removed(v)),
        _story(lambda life, s, g: [life.reprocess(s, g)], lives, steps, st.integers(1, 2)),
        _story(lambda erased: [life.erased() for life in erased], st.lists(lives, min_size=1, max_size=3)),
        _story(account, st.lists(st.booleans(), min_size=1, max_size=3)),
    )
    uploads = _story(_upload, lives, versions)
    return _one_after_the_other(uploads, happenings)


def histories_of_films() -> Stories:
    """Of a video, which may be erased and uploaded again, with its frames and two jobs."""
    films = st.sampled_from([FILM, FILM, FILM, SECOND_FILM])
    versions = st.sampled_from(["v2", "v2", "v2", "v1", "v3"])
    steps = st.sampled_from(sorted(UPSTREAM["video"]))
    of_frame = st.sampled_from(sorted(UPSTREAM["frame"]))
    outcomes = _outcomes()
    attempts, retries = _attempts()
    moments = st.sets(st.sampled_from([0, 480, 4000]), min_size=1, max_size=2).map(sorted)
    frames = st.builds(
        lambda film, version, time, key: film.frame(time, named(film, version), **key),
        films,
        versions,
        st.sampled_from([0, 480, 4000]),
        outcomes,
    )
    jobs = st.builds(
        lambda film, version, name: Job(film, name, named(film, version), has_texts_written=name == "varied"),
        films,
        versions,
        st.sampled_from(["cut", "varied"]),
    )
    percent = st.sampled_from([0, 40, 80])
    numbers = st.integers(1, 3)
    recipes = st.sampled_from(["r1", "r2"])

    def watched(film: Film, version: str, times: list[int], key: dict[str, Any]) -> list[NewEvent]:
        return film.watched(named(film, version), times=times, **key)

    def received(film: Film, version: str, times: list[int], key: dict[str, Any]) -> list[NewEvent]:
        """Before the video, or of a result that never came."""
        return film.frames_received(named(film, version), times=times, **key)

    happenings = st.one_of(
        _story(_upload, films, versions),
        _story(_processed, films, versions, outcomes),
        _story(_reprocessed, films, versions, outcomes, st.sets(steps)),
        _story(watched, films, versions, moments, outcomes),
        _story(watched, films, versions, moments, outcomes),
        _story(received, films, versions, moments, outcomes),
        _story(lambda film, v, n, key: [film.segmented(named(film, v), number=n, **key)], films, versions, numbers, outcomes),
        _story(lambda film, v, s, key: [film.rejected(named(film, v), step=s, **key)], films, versions, steps, outcomes),
        _story(
            lambda film, v, s, a, at, key: [film.failed(s, named(film, v), attempt=a, retry_at=at, **key)],
            films, versions, steps, attempts, retries, outcomes,
        ),
        _story(lambda film, v: [film.removed(named(film, v))], films, versions),
        _story(lambda film, s, g: [film.reprocess(s, g)], films, steps, st.integers(1, 2)),
        _story(lambda frame, key: frame_done(frame, **key), frames, outcomes),
        _story(lambda frame, s, g: [frame.reprocess(s, g)], frames, of_frame, st.integers(1, 2)),
        _story(lambda frame, s, a, key: [frame.failed(s, "f1", attempt=a, **key)], frames, of_frame, attempts, outcomes),
        _story(lambda frame: [frame.removed("f1")], frames),
        _story(lambda frame: [frame.erased()], frames),
        _story(lambda film: [film.erased()], films),
        _story(lambda job: [job.submitted()], jobs),
        _story(lambda job: job.done(), jobs),
        _story(lambda job: job.done(), jobs),
        _story(lambda job, a, n: [job.started(a), job.progressed(n, a)], jobs, attempts, percent),
        _story(lambda job, r: [job.varied(recipe=r)], jobs, recipes),
        _story(lambda job, n, r: [job.segmented(number=n, recipe=r)], jobs, numbers, recipes),
        _story(lambda job, a, at: [job.attempt_failed(attempt=a, retry_at=at)], jobs, attempts, retries),
        _story(lambda job: [job.abandoned(), job.failed()], jobs),
        _story(lambda job: [job.rejected(), job.failed()], jobs),
        _story(lambda job: [job.cancelled()], jobs),
    )  # fmt: skip
    return _one_after_the_other(_story(_processed, films, versions, outcomes), happenings)


def _outcomes() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"generation": st.sampled_from([0, 0, 0, 1, 1, 2]), "recipe": st.sampled_from(["r1", "r2"])})


def _attempts() -> tuple[st.SearchStrategy[str], st.SearchStrategy[Any]]:
    """Their ids, and when the next one is due."""
    return st.sampled_from(["a1", "a2", "a3"]), st.sampled_from([None, NOON])


def _story(make: Callable[..., list[NewEvent]], *drawn: st.SearchStrategy[Any]) -> Stories:
    return st.tuples(*drawn).map(lambda values: make(*values))


def _upload(life: Life, version: str) -> list[NewEvent]:
    return [life.upload(named(life, version), VERSIONS[version])]


def _processed(life: Life, version: str, key: dict[str, Any]) -> list[NewEvent]:
    return [*_upload(life, version), *life.processed(named(life, version), **key)]


def _reprocessed(life: Life, version: str, key: dict[str, Any], steps: set[str]) -> list[NewEvent]:
    requests = [life.reprocess(step, key["generation"]) for step in sorted(steps)]
    return [*requests, *life.processed(named(life, version), **key)]


def _one_after_the_other(beginnings: Stories, happenings: Stories) -> Stories:
    return st.tuples(st.lists(beginnings, max_size=4), st.lists(happenings, min_size=3, max_size=20)).map(
        lambda parts: acceptable(event for part in parts for events in part for event in events)
    )


def named(life: Life, version: str) -> str:
    """The id of a version: no two object versions have the same, whichever item they belong to."""
    return version if life.incarnation == 0 else f"{version}-again"


def acceptable(events: Iterable[NewEvent]) -> list[NewEvent]:
    """Without what a log refuses, or what nobody would tell: new events of an erased item, of an item whose key hasn't got
    that far, and commands that were decided on another version of their stream. A video that is erased takes its frames and
    jobs along."""
    told: dict[uuid.UUID, NewEvent] = {}
    erased: set[uuid.UUID | None] = set()
    versions: Counter[str] = Counter()
    begins_after = {
        second.item_id: first.item_id for first, second in zip([*LIVES, FILM], [*SECOND_LIVES, SECOND_FILM], strict=True)
    }
    accepted = []
    for event in events:
        if event.event_id not in told:
            about = {event.item_id, getattr(event.payload, "parent_item_id", None)} - {None}
            too_late = about & erased
            too_early = event.item_id in begins_after and begins_after[event.item_id] not in erased
            if too_late or too_early or event.expected_version not in (None, versions[event.stream_id]):
                continue
            told[event.event_id] = event
            versions[event.stream_id] += 1
        accepted.append(event)
        if event.payload.type == ItemErased.type and event.item_id not in erased:
            erased.add(event.item_id)
            for each in _erased_along(event, told.values()):
                if each.event_id not in told:
                    accepted.append(each)
                    erased.add(each.item_id)
            told |= {each.event_id: each for each in accepted}
    return accepted


def _erased_along(erasure: NewEvent, told: Iterable[NewEvent]) -> Iterator[NewEvent]:
    """The ends of an erased video's frames and jobs."""
    told = list(told)
    assert erasure.item_id is not None
    frames = {
        event.item_id
        for event in told
        if isinstance(event.payload, FrameReceived) and event.payload.parent_item_id == erasure.item_id and event.item_id
    }
    jobs = {event.job_id for event in told if event.item_id == erasure.item_id and event.job_id}
    ends = [(frame, None) for frame in sorted(frames)] + [(erasure.item_id, job) for job in sorted(jobs)]
    for item_id, job_id in ends:
        yield item_erased(item_id, job_id=job_id, reason="ada asked", user_id="ada", occurred_at=NOON)


def tell(events: Iterable[NewEvent], append: Callable[[list[NewEvent]], Any], erase: Callable[[list[NewEvent]], Any]) -> None:
    """Tell a log a part of a history: in one append, unless there are erasures in it, which are calls of their own."""
    for is_erasure, run in groupby(events, lambda event: event.payload.type == ItemErased.type):
        (erase if is_erasure else append)(list(run))


@st.composite
def splits(draw: st.DrawFn, events: Sequence[NewEvent]) -> list[Sequence[NewEvent]]:
    """The events in appends of any size, in their order."""
    cuts = sorted(draw(st.sets(st.integers(0, len(events)), max_size=5)))
    return [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
