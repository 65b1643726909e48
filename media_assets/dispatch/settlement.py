"""What a batch comes to: committed, sent again in halves, owed, or its target's breaker opened."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from lambdas.runtime.contract import Manifest
from media_assets.dispatch import breakers
from media_assets.dispatch.batching import halves
from media_assets.dispatch.billing import charges, memory_mb_of, unanswered
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.invocation import Batch, Invocation
from media_assets.dispatch.job_reports import ended_jobs
from media_assets.dispatch.outcomes import Recorded, RetryPolicy, came_to_nothing, record
from media_assets.dispatch.routing import Route
from media_assets.dispatch.tally import Tally, count
from media_assets.eventlog.catalogue import JobCompleted, JobFailed
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import Execution
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.claims import Claims
from media_assets.steps.step import Step, Work


@dataclass
class Settlement:
    """Settles the batches of one drain, whose claims it ends."""

    step: Step
    store: EventStore
    settings: Settings
    claims: Claims
    run_id: str | None
    on_batch: Callable[[str], None]
    tallies: dict[datetime, Tally] = field(default_factory=lambda: defaultdict(Tally))
    """What happened, by hour."""
    broken: Exception | None = None
    """Why nothing more should be sent: TargetUnavailableError or ManifestError."""

    @property
    def _policy(self) -> RetryPolicy:
        settings = self.settings
        return RetryPolicy(settings.max_attempts, settings.retry_base_seconds, settings.retry_max_seconds)

    def settle(self, sent: Invocation, future: Future[Manifest]) -> list[Batch]:
        """Commit what a batch that ended came to. Returns the batches to send instead if its worker died or was taken away."""
        try:
            self._commit(sent, future.result())
        except BatchDiedError as died:
            if len(sent.works) > 1:
                return [Batch(half, sent.route) for half in halves(_again(self.owe(sent)))]
            self._commit(sent, sent.died_alone(died))
        except BatchInterruptedError as interrupted:
            if sent.taken_away < self.settings.max_attempts:
                works = self.owe(sent)
                return [Batch(_again(works), sent.route, sent.taken_away + 1)] if works else []
            self._trip(sent.route, TargetUnavailableError(str(interrupted), ran=True))
        except (TargetUnavailableError, ManifestError) as broken:
            if isinstance(broken, ManifestError) or broken.ran:
                self.owe(sent)
            self._trip(sent.route, broken)
        return []

    def owe(self, sent: Invocation) -> list[Work]:
        """Put down the bill of a batch that nothing came of. Returns the items that may be sent again."""
        if sent.is_settled:
            return []
        costs = unanswered(sent.works, self.step, self.settings, sent.route.target, sent.milliseconds)
        if any(work.job for work in sent.works):
            told = self._bill_ended_jobs(sent, costs, sent.works)
            costs = {item_id: cost for item_id, cost in costs.items() if item_id not in told}
        works = self.claims.owe_and_go_on(self.step, sent.works, costs)
        sent.is_settled = True
        return works

    def _bill_ended_jobs(self, sent: Invocation, costs: Mapping[uuid.UUID, int], of: Sequence[Work]) -> set[uuid.UUID]:
        """Tell those jobs `of` the batch that ended meanwhile what they owe, and what it cost them if that isn't owed yet: no
        outcome to come would. Returns their ids."""
        target, milliseconds = sent.route.target, sent.milliseconds // len(sent.works)
        with self.store.engine.begin() as connection:
            ended = _ended(connection, of)
            works = [work for work in of if work.item_id in ended]
            owed = self.claims.owed(connection, works)
            events = []
            for work in works:
                execution = Execution(
                    target=target,
                    target_reason=sent.route.reason,
                    run_id=self.run_id,
                    attempt_id=sent.request.attempt_id,
                    memory_mb=memory_mb_of(self.step, target),
                    milliseconds=milliseconds,
                    micro_dollars=costs.get(work.item_id, 0) + owed.get(work.item_id, 0),
                )
                events.append(came_to_nothing(work, self.step.recipe_of(work, self.settings), execution, datetime.now(UTC)))
            self.store.append(events, connection)
            self.claims.settle(connection, works, owed)
        return ended

    def _commit(self, sent: Invocation, manifest: Manifest) -> None:
        """Append what a batch came to, without the items that were erased while it was under way."""
        works = sent.works
        costs = charges(manifest, self.step, self.settings, sent.route.target)
        erased: list[Work] = []
        while True:
            try:
                recorded = self._append(works, sent.route, manifest, costs, erased)
                break
            except StreamClosedError as closed:
                gone = [work for work in works if work.stream in closed.stream_ids]
                if not gone:
                    raise
                erased += gone
                works = [work for work in works if work not in gone]
        sent.is_settled = True
        count(self.tallies, recorded, erased)
        for work in erased:
            self.on_batch(f"{self.step.name}: item {work.item_id} was erased while it was computed")
        if any(work.job for work in recorded.postponed):  # what they owe now, no outcome to come would tell
            self._bill_ended_jobs(sent, {}, recorded.postponed)
        if recorded.outages:
            self._trip(sent.route, TargetUnavailableError(recorded.outages[0]))
        self.on_batch(
            f"{self.step.name} on {sent.route.target} ({sent.route.reason}): {len(recorded.processed)} processed,"
            f" {len(recorded.rejected)} rejected, {len(recorded.failed)} failed, {len(recorded.postponed)} postponed"
        )

    def _append(
        self, works: Sequence[Work], route: Route, manifest: Manifest, costs: Mapping[uuid.UUID, int], erased: Sequence[Work]
    ) -> Recorded:
        with self.store.engine.begin() as connection:
            owed = self.claims.owed(connection, works)
            recorded = record(
                works,
                manifest,
                step=self.step,
                recipe_of=lambda work: self.step.recipe_of(work, self.settings),
                policy=self._policy,
                route=route,
                run_id=self.run_id,
                now=datetime.now(UTC),
                charges=costs,
                owed=owed,
            )
            if works and len(recorded.postponed) == len(works) and not recorded.outages:
                attempt = works[0].attempt
                if attempt > self._policy.max_attempts:
                    raise ManifestError(f"{self.step.name} started none of {len(works)} items, {attempt} times in a row")
            self._end_no_job_twice(connection, works, recorded)
            self.store.append(recorded.events, connection)
            self.claims.settle(connection, [*recorded.processed, *recorded.rejected, *recorded.failed, *erased], owed)
            self.claims.owe(connection, recorded.postponed, recorded.owed)
            self.claims.release(connection, recorded.postponed)
            if not recorded.outages:
                breakers.reset(connection, self.step.breaker(route.target))
        return recorded

    def _end_no_job_twice(self, connection: Connection, works: Sequence[Work], recorded: Recorded) -> None:
        """A job that was cancelled while a function, which nothing stops, was at it stays cancelled. The result is told, since
        it is there and has cost something."""
        if any(work.job for work in works):
            ended, ends = _ended(connection, works), (JobCompleted, JobFailed)
            recorded.events = [e for e in recorded.events if e.job_id not in ended or not isinstance(e.payload, ends)]

    def _trip(self, route: Route, broken: Exception) -> None:
        self.broken = broken
        breakers.trip(
            self.store.engine,
            self.step.breaker(route.target),
            str(broken),
            base_seconds=self.settings.retry_base_seconds,
            max_seconds=self.settings.retry_max_seconds,
        )


def _ended(connection: Connection, works: Sequence[Work]) -> set[uuid.UUID]:
    """Those of the works' jobs that have ended. None of the others ends before the transaction does."""
    connection.execute(text("SELECT pg_advisory_xact_lock(7236454)"))  # of appends
    return ended_jobs(connection, [work.item_id for work in works if work.job])


def _again(works: Sequence[Work]) -> list[Work]:
    """The same items, for another attempt."""
    return [replace(work, attempt=work.attempt + 1) for work in works]
