"""Jobs while a batch of their work is under way: that they have begun, how far they are, and whether anybody still wants them.

These are for people who watch. A report that can't be stored is said to the run's log, and the work goes on.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.job_events import job_progressed, job_started
from media_assets.eventlog.store import EventStore
from media_assets.steps.step import Work

_SECONDS_BETWEEN = 2.0
"""Events of one job's progress are no closer."""
_WORTH_TELLING, _SECONDS_OF_SILENCE = 5, 15.0
"""An event tells of so many percent more, or of any more after so long: a job has twenty, and a long one more."""


def ended_jobs(connection: Connection, job_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these ids that are jobs which have ended: nobody waits for work of a job that was cancelled, say."""
    rows = connection.execute(
        text("SELECT job_id FROM jobs WHERE job_id = ANY(:ids) AND finished_at IS NOT NULL"), {"ids": list(job_ids)}
    )
    return set(rows.scalars())


class JobReports:
    """Reports of one attempt at the jobs among some works. Threads may share it."""

    def __init__(
        self,
        store: EventStore,
        works: Sequence[Work],
        *,
        attempt_id: str,
        run_id: str | None,
        on_failure: Callable[[str], None],
    ) -> None:
        self._store = store
        self._jobs = {str(work.item_id): work for work in works if work.job is not None}
        self._attempt_id, self._run_id = attempt_id, run_id
        self._on_failure = on_failure
        self._told: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def started(self) -> None:
        """The attempt is about to be sent."""
        self._append(
            [job_started(work.job_ref, attempt=work.attempt, **self._circumstances(work)) for work in self._jobs.values()]
        )

    def progressed(self, item_id: str, percent: int) -> None:
        """A worker told how much of an item is done. Tells the log now and then, and of jobs only."""
        work = self._jobs.get(item_id)
        if work is None:
            return
        with self._lock:
            told_at, told = self._told.get(item_id, (-math.inf, 0))
            waited = time.monotonic() - told_at
            enough = percent >= told + _WORTH_TELLING or (percent > told and waited >= _SECONDS_OF_SILENCE)
            if not enough or waited < _SECONDS_BETWEEN:
                return
            self._told[item_id] = (time.monotonic(), percent)
        self._append([job_progressed(work.job_ref, step=work.step, percent=percent, **self._circumstances(work))])

    def _circumstances(self, work: Work) -> dict[str, Any]:
        cause = work.trace.causation_id
        now = datetime.now(UTC)
        return {"attempt_id": self._attempt_id, "run_id": self._run_id, "occurred_at": now, "causation_id": cause}

    def _append(self, events: list[NewEvent]) -> None:
        if not events:
            return
        try:
            self._store.append(events)
        except (SQLAlchemyError, StreamClosedError) as error:  # an outage, or the video was erased in the meantime
            self._on_failure(f"progress of a job was not stored: {type(error).__name__}")
