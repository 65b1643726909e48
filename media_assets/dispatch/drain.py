"""Drain a step: claim, batch, dispatch, prove, append, until nothing is due. The loop that a run is."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import OperationalError

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch import breakers
from media_assets.dispatch.batching import limits_for, make_batches
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.invocation import Batch, Invocation
from media_assets.dispatch.job_reports import JobReports, ended_jobs
from media_assets.dispatch.routing import routes
from media_assets.dispatch.settlement import Settlement
from media_assets.dispatch.tally import Tally
from media_assets.dispatch.targets import Targets
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
        self._claims = Claims(self.store.engine, run_id=self.run_id, lease_seconds=settings.lease_seconds, settings=settings)
        self._settlement = Settlement(self.step, self.store, settings, self._claims, self.run_id, self.on_batch)
        self._queue: deque[Batch] = deque()
        self._running: dict[Future[Manifest], Invocation] = {}
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
                        self._queue.extendleft(reversed(self._settlement.settle(self._running[future], future)))
                        del self._running[future]
        except BaseException:
            for target in self.targets.values():
                target.cancel()
            # Nobody hears what comes of these, but they have cost something.
            for invocation in self._running.values():
                self._settlement.owe(invocation)
            raise
        finally:
            self._claims.release_all()
        if broken := self._settlement.broken or self._out_of_reach:
            raise broken
        return dict(self._settlement.tallies)

    def _send_what_may_be_sent(self) -> bool:
        """Whether a batch is under way. Once a target is found broken nothing more is sent."""
        has_taken = False
        while self._settlement.broken is None and (idle := self._idle_targets()):
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
        if self._has_taken and self._patience > 0 and not self._is_gathered(self._due()):
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

    def _is_gathered(self, due: Sequence[Due]) -> bool:
        """Whether a sensor would ask for a run on these hours."""
        return any(each.hour in self.hours and each.kind == "new" for each in due)

    def _due(self) -> list[Due]:
        """Work that a sensor would ask for runs of this kind for."""
        with self.store.engine.connect() as connection:
            due = due_work(connection, self.settings)
        return [each for each in due if each.pipeline == PIPELINE_OF[self.step.name]]

    def _waited_for_more(self) -> bool:
        """Let a moment pass if more is on its way or there, and no other hour waits for this run's place."""
        if self._patience <= 0 or self._settlement.broken or self._out_of_reach:
            return False
        due = self._due()
        if any(each.hour not in self.hours for each in due):
            return False
        with self.store.engine.connect() as connection:
            coming = on_their_way(connection, self.step.name, self.hours)
        if not coming and not self._is_gathered(due):
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
            self._settlement.tallies[work.hour].erased += work.item_id in erased
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
