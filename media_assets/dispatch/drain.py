"""Drain a step: claim, batch, dispatch, prove, append, until nothing is due. The loop that a run is."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch import breakers
from media_assets.dispatch.batching import halves, limits_for, make_batches
from media_assets.dispatch.billing import charges, unanswered
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.invocation import Invocation
from media_assets.dispatch.job_reports import JobReports, ended_jobs
from media_assets.dispatch.outcomes import Recorded, RetryPolicy, record
from media_assets.dispatch.routing import Route, routes
from media_assets.dispatch.tally import Tally, count
from media_assets.dispatch.targets import Targets
from media_assets.eventlog.catalogue import JobCompleted, JobFailed
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.incarnations import erased_items
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.budgets import resume_spending
from media_assets.steps.catalogue import PIPELINE_OF
from media_assets.steps.claims import Claims
from media_assets.steps.pending import Due, due_work, on_their_way, uploads_waiting
from media_assets.steps.step import Step, TargetName, Work

_LOOK_SECONDS = 3.0
"""How often, while nothing comes back, it is looked for jobs that were cancelled."""
_GATHER_LOOK_SECONDS = 1.0
"""How often a run with nothing to do looks whether what was on its way has come."""


class Batch(NamedTuple):
    """Items to send together, and where."""

    works: list[Work]
    route: Route
    taken_away: int = 0
    """How often in a row its worker was."""


def drain(
    step: Step,
    hours: Sequence[datetime],
    *,
    store: EventStore,
    settings: Settings,
    targets: Targets,
    run_id: str | None,
    on_batch: Callable[[str], None] = lambda message: None,
    new_only: bool = False,
) -> dict[datetime, Tally]:
    """Process everything of `step` that is due in `hours`, or with `new_only` what isn't a recomputation, and return what
    happened, by hour.

    Each batch is committed as it comes back: a killed run loses at most the batches in flight. While any upload waits for
    its turn, one batch of recomputations is under way at a time. With `new_only`, of a step that gathers its items for a
    task, it stays while more uploads of the hours are on their way, for `ecs_gather_seconds` of waiting at the most, and
    takes them when `due_work` says so: a burst of uploads is one run and few tasks.

    Raises TargetUnavailableError when the targets are or go down, ManifestError when one lies; by then what was good is
    committed, the target's breaker is open, and everything else is pending again. Whatever ends it early, a cancelled run
    included, stops what is under way.
    """
    return _Drain(step, hours, store, settings, targets, run_id, on_batch, new_only).run()


@dataclass
class _Drain:
    step: Step
    hours: Sequence[datetime]
    store: EventStore
    settings: Settings
    targets: Targets
    run_id: str | None
    on_batch: Callable[[str], None]
    new_only: bool

    def __post_init__(self) -> None:
        settings = self.settings
        self._policy = RetryPolicy(settings.max_attempts, settings.retry_base_seconds, settings.retry_max_seconds)
        self._claims = Claims(self.store.engine, run_id=self.run_id, lease_seconds=settings.lease_seconds, settings=settings)
        self._tallies: dict[datetime, Tally] = defaultdict(Tally)
        self._queue: deque[Batch] = deque()
        self._running: dict[Future[Manifest], Invocation] = {}
        self._broken: Exception | None = None
        self._out_of_reach: Exception | None = None
        self._has_taken = False
        self._patience = settings.ecs_gather_seconds if self.step.gathers and self.new_only else 0

    def run(self) -> dict[datetime, Tally]:
        if self.step.calls_model:
            resume_spending(self.store, self.settings)
        try:
            with self._renewing():
                while self._send_what_may_be_sent() or self._waited_for_more():
                    finished, _ = wait(self._running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    if not finished:
                        self._stop_what_nobody_wants()
                    for future in finished:
                        self._queue.extendleft(reversed(self._settle(self._running.pop(future), future)))
        except BaseException:
            for target in self.targets.values():
                target.cancel()
            # Nobody hears what comes of these, but they have cost something.
            for invocation in self._running.values():
                self._owe(invocation)
            raise
        finally:
            self._claims.release_all()
        if broken := self._broken or self._out_of_reach:
            raise broken
        return dict(self._tallies)

    def _send_what_may_be_sent(self) -> bool:
        """Whether a batch is under way. Once a target is found broken nothing more is sent."""
        has_taken = False
        while self._broken is None and (idle := self._idle_targets()):
            batch = next((batch for batch in self._queue if batch.route.target in idle), None)
            if batch is None and self._out_of_reach is None and not (self._queue and has_taken):
                has_taken = True
                if taken := self._take():
                    self._queue.extend(taken)
                    continue
            if batch is None or (self._running and self._must_wait(batch)):
                break
            self._queue.remove(batch)
            works, route, taken_away = batch
            if works := self._still_wanted(works):
                request = self._request(works)
                invocation = Invocation(self.step, works, request, route, taken_away)
                reports = JobReports(
                    self.store, works, attempt_id=request.attempt_id, run_id=self.run_id, on_failure=self.on_batch
                )
                reports.started()
                self._running[invocation.send(self.targets[route.target], reports.progressed)] = invocation
        return bool(self._running)

    def _idle_targets(self) -> set[TargetName]:
        """Those that may be sent another batch: long tasks keep nothing from functions."""
        running = Counter(invocation.route.target for invocation in self._running.values())
        return {target for target in self.step.targets if running[target] < self.settings.dispatch_threads}

    def _must_wait(self, batch: Batch) -> bool:
        """New uploads outrank recomputations, of whichever step and run they are."""
        if not batch.works[0].recomputation:
            return False
        with self.store.engine.connect() as connection:
            return uploads_waiting(connection)

    def _take(self) -> list[Batch]:
        """A window of due work as batches."""
        if self._has_taken and self._patience > 0 and not self._is_gathered():
            return []
        self._has_taken = True
        threads = self.settings.dispatch_threads
        most = max(limits_for(self.step, self.settings, target).items for target in self.step.targets)
        works = self._claims.take(self.step, self.hours, 2 * threads * most, new_only=self.new_only)
        if not works:
            return []
        with self.store.engine.connect() as connection:
            paused = {breaker.target: breaker for breaker in breakers.open_breakers(connection)}
        batches: list[Batch] = []
        for way, group in routes(self.step, works, self.settings, paused):
            if breaker := paused.get(self.step.breaker(way.target)):
                # Its items stay claimed till the end, or they would be taken again and again.
                self._out_of_reach = TargetUnavailableError(
                    f"{breaker.target} is paused until {breaker.open_until:%H:%M:%S} UTC: {breaker.reason}"
                )
                continue
            cut = make_batches(
                group,
                limits_for(self.step, self.settings, way.target),
                threads,
                seconds_of=lambda work: self.step.seconds(work, self.settings),
                recipe_of=lambda work: self.step.recipe_of(work, self.settings).digest,
            )
            batches += [Batch(batch, way) for batch in cut]
        return batches

    def _is_gathered(self) -> bool:
        """Whether a sensor would ask for a run on these hours."""
        with self.store.engine.connect() as connection:
            due = due_work(connection, self.settings)
        return any(Due(PIPELINE_OF[self.step.name], hour, "new") in due for hour in self.hours)

    def _waited_for_more(self) -> bool:
        """Let a moment pass if more is on its way or there."""
        if self._patience <= 0 or self._broken or self._out_of_reach:
            return False
        with self.store.engine.connect() as connection:
            coming = on_their_way(connection, self.step.name, self.hours)
        if not coming and not self._is_gathered():
            return False
        time.sleep(_GATHER_LOOK_SECONDS)
        self._patience -= _GATHER_LOOK_SECONDS
        return True

    def _still_wanted(self, works: list[Work]) -> list[Work]:
        """What wasn't erased, and is of no job that ended, while it waited for its turn. The last sweep of an erased item
        counts on nothing being sent."""
        with self.store.engine.begin() as connection:
            ids = [work.item_id for work in works]
            erased = erased_items(connection, ids)
            unwanted = erased | ended_jobs(connection, ids)
            self._claims.settle(connection, [work for work in works if work.item_id in unwanted])
        for work in works:
            self._tallies[work.hour].erased += work.item_id in erased
        return [work for work in works if work.item_id not in unwanted]

    def _stop_what_nobody_wants(self) -> None:
        """End attempts at jobs that were cancelled, or erased, while they are under way."""
        jobs = [work.item_id for invocation in self._running.values() for work in invocation.works if work.job]
        if not jobs:
            return
        try:
            with self.store.engine.connect() as connection:
                unwanted = erased_items(connection, jobs) | ended_jobs(connection, jobs)
        except OperationalError as error:  # hours of work are not given up for one look
            self.on_batch(f"{self.step.name}: cancelled jobs not looked for: {type(error.orig).__name__}")
            return
        for invocation in self._running.values():
            if all(work.item_id in unwanted for work in invocation.works):
                self.targets[invocation.route.target].stop(invocation.request.attempt_id)

    def _settle(self, sent: Invocation, future: Future[Manifest]) -> list[Batch]:
        """Commit what a batch came to. Returns the batches to send instead if its worker died or was taken away."""
        try:
            self._commit(sent, future.result())
        except BatchDiedError as died:
            if len(sent.works) > 1:
                return [Batch(half, sent.route) for half in halves(_again(self._owe(sent)))]
            self._commit(sent, sent.died_alone(died))
        except BatchInterruptedError as interrupted:
            if sent.taken_away < self.settings.max_attempts and (works := self._owe(sent)):
                return [Batch(_again(works), sent.route, sent.taken_away + 1)]
            self._trip(sent.route, TargetUnavailableError(str(interrupted), ran=True))
        except (TargetUnavailableError, ManifestError) as broken:
            if isinstance(broken, ManifestError) or broken.ran:
                self._owe(sent)
            self._trip(sent.route, broken)
        return []

    def _owe(self, sent: Invocation) -> list[Work]:
        """Put down the bill of a batch that nothing came of. Returns the items that may be sent again."""
        costs = unanswered(sent.works, self.step, self.settings, sent.route.target, sent.milliseconds)
        return self._claims.owe_and_go_on(self.step, sent.works, costs)

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
        count(self._tallies, recorded, erased)
        for work in erased:
            self.on_batch(f"{self.step.name}: item {work.item_id} was erased while it was computed")
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
            owed = self._claims.owed(connection, works)
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
            self._claims.settle(connection, [*recorded.processed, *recorded.rejected, *recorded.failed, *erased], owed)
            self._claims.owe(connection, recorded.postponed, recorded.owed)
            self._claims.release(connection, recorded.postponed)
            if not recorded.outages:
                breakers.reset(connection, self.step.breaker(route.target))
        return recorded

    def _end_no_job_twice(self, connection: Connection, works: Sequence[Work], recorded: Recorded) -> None:
        """A job that was cancelled while a function, which nothing stops, was at it stays cancelled. The result is told, since
        it is there and has cost something."""
        if jobs := [work.item_id for work in works if work.job]:
            connection.execute(text("SELECT pg_advisory_xact_lock(7236454)"))  # of appends: nobody ends one meanwhile
            ended = ended_jobs(connection, jobs)
            ends = (JobCompleted, JobFailed)
            recorded.events = [e for e in recorded.events if e.job_id not in ended or not isinstance(e.payload, ends)]

    def _trip(self, route: Route, broken: Exception) -> None:
        self._broken = broken
        breakers.trip(
            self.store.engine,
            self.step.breaker(route.target),
            str(broken),
            base_seconds=self.settings.retry_base_seconds,
            max_seconds=self.settings.retry_max_seconds,
        )

    def _request(self, works: Sequence[Work]) -> StepRequest:
        recipe = self.step.recipe_of(works[0], self.settings)
        return StepRequest(
            batch_id=str(uuid.uuid4()),
            attempt_id=str(uuid.uuid4()),
            attempt=max(work.attempt for work in works),
            step=self.step.name,
            recipe=recipe.digest,
            parameters={**recipe.parameters, **self.step.limits(self.settings)},
            items=tuple(work.batch_item(recipe) for work in works),
        )

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        """Keep the lease of what is claimed alive, also while every thread waits for a slow function."""
        stop = threading.Event()

        def renew() -> None:
            while not stop.wait(self.settings.lease_seconds / 3):
                try:
                    self._claims.renew()
                except OperationalError as error:  # the next turn may find the database back before the lease ends
                    self.on_batch(f"{self.step.name}: lease not renewed: {type(error.orig).__name__}")

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _again(works: Sequence[Work]) -> list[Work]:
    """The same items, for another attempt."""
    return [replace(work, attempt=work.attempt + 1) for work in works]
