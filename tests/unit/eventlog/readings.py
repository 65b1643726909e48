"""What a plain reading of a history says: the model that the SQL folds are compared with. Told event by event, it knows
nothing of batches or SQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from media_assets.eventlog.events import NewEvent

UPSTREAM: dict[str | None, dict[str, str | None]] = {
    None: {"probe": None},
    "image": {"probe": None, "thumbnail": "probe", "detect": "thumbnail", "analyze": "thumbnail", "embed": "analyze"},
    "video": {"probe": None, "frames": "probe", "segment": "probe"},
    "frame": {"thumbnail": None, "detect": "thumbnail", "analyze": "thumbnail", "embed": "analyze"},
    "job": {"segment": None},
    "varied_job": {"vary": None, "segment": "vary"},
}
CONCLUSIVE = {
    "MediaProbed",
    "UploadRejected",
    "ThumbnailCreated",
    "DetectionsCompleted",
    "AnalysisCompleted",
    "EmbeddingStored",
    "FramesExtracted",
    "VideoSegmented",
    "TextVaried",
}
_ENDS = {"JobCompleted": "completed", "JobFailed": "failed", "JobCancelled": "cancelled"}

Key = tuple[str, str, int]
"""Version, step, generation."""


class Work:
    """Outcomes of steps, which an item has and a job has."""

    def __init__(self) -> None:
        self._told: set[uuid.UUID] = set()
        self._results: dict[Key, tuple[str, uuid.UUID]] = {}  # outcome, and the event
        self._failures: dict[Key, int] = {}
        self._dead: set[Key] = set()
        self._requested: dict[str, int] = {}
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}  # version, type: generation, labels or keys
        self._erased = False

    def tell(self, event: NewEvent) -> None:
        if event.event_id in self._told:
            return
        self._told.add(event.event_id)
        key = (getattr(event.payload, "version_id", ""), event.step or "", event.generation or 0)
        self._hear(event.payload.type, event.payload, key, event)

    def _hear(self, kind: str, payload: Any, key: Key, event: NewEvent) -> None:
        version, step, generation = key
        counts = key not in self._results and self._found.get((version, kind), (-1, []))[0] < generation
        if kind == "DetectionsCompleted" and counts:
            self._found[version, kind] = (generation, [each.label for each in payload.detections])
        if kind == "VideoSegmented" and counts:
            self._found[version, kind] = (generation, [each.key for each in payload.segments])
        if kind in CONCLUSIVE:
            self._results.setdefault(key, ("rejected" if kind == "UploadRejected" else "done", event.event_id))
        if kind == "StepFailed":
            self._failures[key] = self._failures.get(key, 0) + 1
        if kind == "StepAbandoned":
            self._dead.add(key)
        if kind == "ReprocessRequested":
            self._requested[step] = max(self._requested.get(step, 0), generation)
        if kind == "ItemErased":
            self._erased = True

    def labels(self) -> dict[str, list[str]]:
        """What was found in each version, in order; versions in which nothing was are left out."""
        return self._of("DetectionsCompleted")

    def segments(self) -> dict[str, list[str]]:
        """The segments' keys, by version."""
        return self._of("VideoSegmented")

    def _of(self, kind: str) -> dict[str, list[str]]:
        found = {version: values for (version, of), (_, values) in self._found.items() if of == kind and values}
        return {} if self._erased else found

    def result_that_counts(self, version: str, step: str) -> uuid.UUID | None:
        """The event of the highest generation that is done."""
        done = {g: event for (v, s, g), (outcome, event) in self._results.items() if (v, s, outcome) == (version, step, "done")}
        return done[max(done)] if done else None

    def _standing(self, version: str, kind: str | None) -> dict[str, tuple[str, int, int]]:
        standing: dict[str, tuple[str, int, int]] = {}
        for step, upstream in UPSTREAM[kind].items():
            if upstream is not None and standing.get(upstream, ("",))[0] != "done":
                continue
            generation = self._requested.get(step, 0)
            key = (version, step, generation)
            state = self._results.get(key, ("dead" if key in self._dead else "pending",))[0]
            standing[step] = (state, generation, self._failures.get(key, 0))
        return standing


class Reading(Work):
    """What one item's history comes to. A frame's depends on that of its video."""

    def __init__(self, all: dict[uuid.UUID, Work]) -> None:
        super().__init__()
        self._all = all
        self._uploads: dict[str, tuple[str, int]] = {}  # version: (sequencer, when)
        self._removed: set[str] = set()
        self._measured: dict[str, tuple[int, int, str]] = {}  # version: (generation, width, kind)
        self._frames: dict[str, tuple[uuid.UUID, str, uuid.UUID | None]] = {}  # version: item, its version, its result

    def _hear(self, kind: str, payload: Any, key: Key, event: NewEvent) -> None:
        version, _, generation = key
        if kind == "UploadReceived":
            self._uploads[version] = (payload.sequencer, len(self._told))
        if kind == "FrameReceived":
            self._uploads[version] = ("", len(self._told))
            self._measured[version] = (0, payload.width, "frame")
            self._frames[version] = (payload.parent_item_id, payload.parent_version_id, event.causation_id)
        if kind == "UploadRemoved" and version in self._uploads:
            self._removed.add(version)
        if kind == "MediaProbed" and version in self._uploads and self._measured.get(version, (-1,))[0] < generation:
            self._measured[version] = (generation, payload.width, payload.kind)
        super()._hear(kind, payload, key, event)

    def has(self, version: str) -> bool:
        """Whether the version is in the bucket, as far as is known."""
        return version in self._uploads and version not in self._removed and not self._erased

    def item(self) -> tuple[str, str, int | None] | None:
        """(version, state, width) of the item; None if nothing was uploaded, or it was erased."""
        version = self.current()
        if version is None:
            return None
        width = self._measured.get(version, (0, None))[1]
        states = [state for state, _, _ in self.steps().values()]
        if not self._counts(version):
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

    def steps(self) -> dict[str, tuple[str, int, int]]:
        """(state, generation, failures) of each step that is due or was."""
        version = self.current()
        if version is None or not self._counts(version):
            return {}
        return self._standing(version, self._measured.get(version, (0, 0, None))[2])

    def current(self) -> str | None:
        if self._erased:
            return None

        def rank(version: str) -> tuple[bool, str, int]:
            sequencer, when = self._uploads[version]
            return version not in self._removed, sequencer.ljust(16, "0"), when

        return max(self._uploads, key=rank, default=None)

    def _counts(self, version: str) -> bool:
        if version in self._removed or version not in self._frames:
            return version not in self._removed
        parent, of_version, result = self._frames[version]
        film = self._all.get(parent)
        if not isinstance(film, Reading) or film.current() != of_version or not film.has(of_version):
            return False
        return film.result_that_counts(of_version, "frames") == result


class JobReading(Work):
    """What one job's history comes to."""

    def __init__(self, all: dict[uuid.UUID, Work]) -> None:
        super().__init__()
        self._all = all
        self._about: tuple[uuid.UUID | None, str, str] | None = None  # item, version, kind
        self._state, self._progress = "pending", 0
        self._texts: list[str] | None = None

    def _hear(self, kind: str, payload: Any, key: Key, event: NewEvent) -> None:
        super()._hear(kind, payload, key, event)
        if kind == "JobSubmitted":
            text = payload.options["text_input"]
            self._about = (event.item_id, payload.version_id, "varied_job" if text else "job")
        elif self._about is not None and self._state in ("pending", "processing"):
            if kind == "JobStarted":
                self._state = "processing"
            if kind == "JobProgressed":
                self._progress = payload.percent
            if kind == "TextVaried" and key[0] == self._about[1] and self._results[key][1] == event.event_id:
                self._texts = list(payload.texts)
            self._state = _ENDS.get(kind, self._state)
            if kind == "JobCompleted":
                self._progress = 100

    def job(self) -> tuple[str, int, list[str] | None] | None:
        """(state, progress, texts); None if it wasn't submitted, or was erased."""
        return None if self._about is None or self._erased else (self._state, self._progress, self._texts)

    def steps(self) -> dict[str, tuple[str, int, int]]:
        """(state, generation, failures) of each step that is due or was. Of a job that has ended, nothing is due."""
        if self._about is None or self._erased:
            return {}
        item_id, version, kind = self._about
        film = self._all.get(item_id) if item_id else None
        if not isinstance(film, Reading) or not film.has(version):
            return {}
        standing = self._standing(version, kind)
        is_over = self._state not in ("pending", "processing")
        return {step: each for step, each in standing.items() if not (is_over and each[0] == "pending")}


def readings(history: Iterable[NewEvent]) -> dict[uuid.UUID, Reading | JobReading]:
    """A reading of each item and each job that a history tells of."""
    found: dict[uuid.UUID, Any] = {}
    for event in history:
        if event.job_id is not None:
            found.setdefault(event.job_id, JobReading(found)).tell(event)
        elif event.item_id is not None:
            found.setdefault(event.item_id, Reading(found)).tell(event)
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
