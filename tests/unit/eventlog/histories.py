"""Random histories, and what a plain reading of one says: the model that the SQL folds are compared with."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from hypothesis import strategies as st

from media_assets.eventlog.catalogue import ItemErased
from media_assets.eventlog.events import NewEvent
from tests.unit.eventlog.lives import NOON, Life, spending_resumed, spending_stopped

LIVES = (Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg"))
SECOND_LIVES = tuple(replace(life, incarnation=1) for life in LIVES)
"""What is uploaded under the keys after the first lives were erased."""
VERSIONS = {"v1": "0A", "v2": "0A10", "v3": "05"}
"""Versions with their sequencers: v2 is the newest, v3 the oldest, whatever order they become known in. Their etags are
equal, as those of A are in A, B, A."""
UPSTREAM = {"probe": None, "thumbnail": "probe", "detect": "thumbnail", "analyze": "thumbnail", "embed": "analyze"}
CONCLUSIVE = {
    "MediaProbed",
    "UploadRejected",
    "ThumbnailCreated",
    "DetectionsCompleted",
    "AnalysisCompleted",
    "EmbeddingStored",
}


def histories() -> st.SearchStrategy[list[NewEvent]]:
    """Anything that may be told of two keys and their user, in any order: sensible lives, outcomes that come late, twice or
    never, erasures and what is uploaded afterwards. Every event of one is accepted, be it as a repeat."""
    lives = st.sampled_from([*LIVES, *LIVES, *SECOND_LIVES])
    versions = st.sampled_from(["v2", "v2", "v2", "v1", "v3"])
    steps = st.sampled_from(sorted(UPSTREAM))
    outcomes = st.fixed_dictionaries(
        {"generation": st.sampled_from([0, 0, 0, 1, 1, 2]), "recipe": st.sampled_from(["r1", "r2"])}
    )
    attempts = st.sampled_from(["a1", "a2", "a3"])
    retries = st.sampled_from([None, NOON])
    failures = (lives, versions, steps, attempts, retries, outcomes)

    def upload(life: Life, version: str) -> list[NewEvent]:
        return [life.upload(named(life, version), VERSIONS[version])]

    def story(make: Callable[..., list[NewEvent]], *drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[list[NewEvent]]:
        return st.tuples(*drawn).map(lambda values: make(*values))

    def of_version(make: Callable[..., NewEvent], *drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[list[NewEvent]]:
        """`make(life, version, …)` of what is drawn after a life and a version."""
        return story(lambda life, version, *values: [make(life, named(life, version), *values)], lives, versions, *drawn)

    def processed(life: Life, version: str, key: dict[str, Any]) -> list[NewEvent]:
        return [*upload(life, version), *life.processed(named(life, version), **key)]

    def reprocessed(life: Life, version: str, key: dict[str, Any], steps: set[str]) -> list[NewEvent]:
        requests = [life.reprocess(step, key["generation"]) for step in sorted(steps)]
        return [*requests, *life.processed(named(life, version), **key)]

    def account(stops_and_resumptions: list[bool]) -> list[NewEvent]:
        makers = [spending_stopped if stopped else spending_resumed for stopped in stops_and_resumptions]
        return [make(version) for version, make in enumerate(makers)]

    happenings = st.one_of(
        story(upload, lives, versions),
        story(processed, lives, versions, outcomes),
        story(processed, lives, versions, outcomes),
        story(reprocessed, lives, versions, outcomes, st.sets(steps)),
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
        story(lambda life, s, g: [life.reprocess(s, g)], lives, steps, st.integers(1, 2)),
        story(lambda erased: [life.erased() for life in erased], st.lists(lives, min_size=1, max_size=3)),
        story(account, st.lists(st.booleans(), min_size=1, max_size=3)),
    )
    uploads = story(upload, lives, versions)
    return st.tuples(st.lists(uploads, max_size=4), st.lists(happenings, min_size=3, max_size=20)).map(
        lambda parts: acceptable(event for part in parts for events in part for event in events)
    )


def named(life: Life, version: str) -> str:
    """The id of a version: no two object versions have the same, whichever item they belong to."""
    return version if life.incarnation == 0 else f"{version}-again"


def acceptable(events: Iterable[NewEvent]) -> list[NewEvent]:
    """Without what a log refuses, or what nobody would tell: new events of an erased item, of an item whose key hasn't got
    that far, and commands that were decided on another version of their stream."""
    told: dict[uuid.UUID, NewEvent] = {}
    erased: set[uuid.UUID | None] = set()
    versions: Counter[str] = Counter()
    begins_after = {second.item_id: first.item_id for first, second in zip(LIVES, SECOND_LIVES, strict=True)}
    accepted = []
    for event in events:
        if event.event_id not in told:
            too_late = event.item_id in erased
            too_early = event.item_id in begins_after and begins_after[event.item_id] not in erased
            if too_late or too_early or event.expected_version not in (None, versions[event.stream_id]):
                continue
            told[event.event_id] = event
            versions[event.stream_id] += 1
            if event.payload.type == ItemErased.type:
                erased.add(event.item_id)
        accepted.append(event)
    return accepted


def tell(events: Iterable[NewEvent], append: Callable[[list[NewEvent]], Any], erase: Callable[[list[NewEvent]], Any]) -> None:
    """Tell a log a part of a history: in one append, unless there are erasures in it, which are calls of their own."""
    for is_erasure, run in groupby(events, lambda event: event.payload.type == ItemErased.type):
        (erase if is_erasure else append)(list(run))


@st.composite
def splits(draw: st.DrawFn, events: Sequence[NewEvent]) -> list[Sequence[NewEvent]]:
    """The events in appends of any size, in their order."""
    cuts = sorted(draw(st.sets(st.integers(0, len(events)), max_size=5)))
    return [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]


class Reading:
    """What one item's history comes to. Told event by event, it knows nothing of batches or SQL."""

    def __init__(self) -> None:
        self._told: set[uuid.UUID] = set()
        self._uploads: dict[str, tuple[str, int]] = {}  # version: (sequencer, when)
        self._removed: set[str] = set()
        self._results: dict[tuple[str, str, int], str] = {}  # (version, step, generation): outcome
        self._labels: dict[str, tuple[int, list[str]]] = {}  # version: (generation, what was found)
        self._failures: dict[tuple[str, str, int], int] = {}
        self._dead: set[tuple[str, str, int]] = set()
        self._requested: dict[str, int] = {}
        self._widths: dict[str, tuple[int, int]] = {}  # version: (generation, width)
        self._erased = False

    def tell(self, event: NewEvent) -> None:
        if event.event_id in self._told:
            return
        self._told.add(event.event_id)
        version: str = getattr(event.payload, "version_id", "")
        key = (version, event.step or "", event.generation or 0)
        kind = event.payload.type
        if kind == "UploadReceived":
            self._uploads[version] = (event.payload.sequencer, len(self._told))  # type: ignore[attr-defined]
        if kind == "UploadRemoved" and version in self._uploads:
            self._removed.add(version)
        if kind == "DetectionsCompleted" and key not in self._results and self._labels.get(version, (-1, []))[0] < key[2]:
            self._labels[version] = (key[2], [each.label for each in event.payload.detections])  # type: ignore[attr-defined]
        if kind in CONCLUSIVE:
            self._results.setdefault(key, "rejected" if kind == "UploadRejected" else "done")
        if kind == "MediaProbed" and version in self._uploads and self._widths.get(version, (-1, 0))[0] < key[2]:
            self._widths[version] = (key[2], event.payload.width)  # type: ignore[attr-defined]
        if kind == "StepFailed":
            self._failures[key] = self._failures.get(key, 0) + 1
        if kind == "StepAbandoned":
            self._dead.add(key)
        if kind == "ItemErased":
            self._erased = True
        if kind == "ReprocessRequested":
            self._requested[key[1]] = max(self._requested.get(key[1], 0), key[2])

    def item(self) -> tuple[str, str, int | None] | None:
        """(version, state, width) of the item; None if nothing was uploaded, or it was erased."""
        version = self._current()
        if version is None:
            return None
        width = self._widths.get(version, (0, None))[1]
        states = [state for state, _, _ in self.steps().values()]
        if version in self._removed:
            state = "removed"
        elif "rejected" in states:
            state = "rejected"
        elif "dead" in states:
            state = "failed"
        elif set(states) == {"done"}:
            state = "done"
        else:
            state = "received" if width is None else "processing"
        return version, state, width

    def labels(self) -> dict[str, list[str]]:
        """What was found in each version, in order; versions in which nothing was are left out."""
        return {} if self._erased else {version: labels for version, (_, labels) in self._labels.items() if labels}

    def steps(self) -> dict[str, tuple[str, int, int]]:
        """(state, generation, failures) of each step that is due or was."""
        version = self._current()
        if version is None or version in self._removed:
            return {}
        standing: dict[str, tuple[str, int, int]] = {}
        for step, upstream in UPSTREAM.items():
            if upstream is not None and standing.get(upstream, ("",))[0] != "done":
                continue
            if upstream is not None and version not in self._widths:
                break  # of no known kind: nothing but the probe applies
            generation = self._requested.get(step, 0)
            key = (version, step, generation)
            state = self._results.get(key) or ("dead" if key in self._dead else "pending")
            standing[step] = (state, generation, self._failures.get(key, 0))
        return standing

    def _current(self) -> str | None:
        if self._erased:
            return None

        def rank(version: str) -> tuple[bool, str, int]:
            sequencer, when = self._uploads[version]
            return version not in self._removed, sequencer.ljust(16, "0"), when

        return max(self._uploads, key=rank, default=None)


def readings(history: Iterable[NewEvent]) -> dict[uuid.UUID, Reading]:
    """A reading of each item that a history tells of."""
    found: dict[uuid.UUID, Reading] = {}
    for event in history:
        if event.item_id is not None:
            found.setdefault(event.item_id, Reading()).tell(event)
    return found


def bills(history: Iterable[NewEvent]) -> dict[str, tuple[int, int, int]]:
    """(outcomes, failures, milliseconds) by step, of erased items too."""
    found: dict[str, tuple[int, int, int]] = {}
    for event in {event.event_id: event for event in reversed(list(history))}.values():
        kind = event.payload.type
        if event.step is not None and (kind in CONCLUSIVE or kind == "StepFailed"):
            outcomes, failures, milliseconds = found.get(event.step, (0, 0, 0))
            failed = kind == "StepFailed"
            found[event.step] = outcomes + (not failed), failures + failed, milliseconds + event.milliseconds
    return found


def is_stopped(history: Iterable[NewEvent]) -> bool:
    """Whether ada's spending is stopped in the end."""
    told = {event.expected_version: event for event in history if event.stream_id == "account-ada"}
    return bool(told) and told[max(told)].payload.type == "SpendingStopped"
