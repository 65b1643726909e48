"""Drain a step: claim, batch, dispatch, prove, append, until nothing is due. The loop that a run is."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError

from lambdas.runtime.contract import ItemError, ItemOutcome, Manifest, StepRequest
from media_assets.dispatch import breakers
from media_assets.dispatch.batching import halves, limits_for, make_batches
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.outcomes import Recorded, RetryPolicy, record
from media_assets.eventlog.catalogue import StepFailed, UploadRejected
from media_assets.eventlog.events import item_stream
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.claims import Claims
from media_assets.steps.step import Step, Work

Invoke = Callable[[StepRequest], Manifest]
"""Sends a request to the step's target and returns the verified manifest; raises what dispatch.errors names."""

_SAMPLE = 24


@dataclass
class Tally:
    """What a drain did to one hour's items. `sample` holds the ids of some that were processed, `reasons` counts
    the codes of what was rejected or failed."""

    processed: int = 0
    failed: int = 0
    rejected: int = 0
    bytes_read: int = 0
    milliseconds: int = 0
    sample: list[uuid.UUID] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def drain(
    step: Step,
    hours: Sequence[datetime],
    *,
    store: EventStore,
    settings: Settings,
    invoke: Invoke,
    run_id: str | None,
    on_batch: Callable[[str], None] = lambda message: None,
) -> dict[datetime, Tally]:
    """Process everything of `step` that is due in `hours` and return what happened, by hour.

    Each batch is committed as it comes back: a killed run loses at most the batches in flight. Raises
    TargetUnavailableError when the target is or goes down, ManifestError when it lies; by then what was good is
    committed, the target's breaker is open, and everything else is pending again.
    """
    return _Drain(step, hours, store, settings, invoke, run_id, on_batch).run()


@dataclass
class _Drain:
    step: Step
    hours: Sequence[datetime]
    store: EventStore
    settings: Settings
    invoke: Invoke
    run_id: str | None
    on_batch: Callable[[str], None]

    def __post_init__(self) -> None:
        settings = self.settings
        self._recipe = self.step.recipe(settings)
        self._parameters = {**self._recipe.parameters, **self.step.limits(settings)}
        self._policy = RetryPolicy(settings.max_attempts, settings.retry_base_seconds, settings.retry_max_seconds)
        self._claims = Claims(self.store.engine, run_id=self.run_id, lease_seconds=settings.lease_seconds)
        self._tallies: dict[datetime, Tally] = defaultdict(Tally)
        self._broken: Exception | None = None

    def run(self) -> dict[datetime, Tally]:
        threads = self.settings.dispatch_threads
        limits = limits_for(self.step, self.settings)
        window = 2 * threads * limits.items
        pool = ThreadPoolExecutor(threads, thread_name_prefix=f"dispatch-{self.step.name}")
        try:
            with self._renewing():
                while self._broken is None and (works := self._take(window)):
                    batches = make_batches(works, limits, threads)
                    self._collect(pool, batches)
        finally:
            # Not `with pool`: leaving that block would wait for, and so send, every batch still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            self._claims.release_all()
        if self._broken is not None:
            raise self._broken
        return dict(self._tallies)

    def _take(self, window: int) -> list[Work]:
        works = self._claims.take(self.step, self.hours, window)
        if works:
            with self.store.engine.connect() as connection:
                for breaker in breakers.open_breakers(connection):
                    if breaker.target == self.step.name:
                        self._broken = TargetUnavailableError(
                            f"{self.step.name} is paused until {breaker.open_until:%H:%M:%S} UTC: {breaker.reason}"
                        )
                        return []
        return works

    def _collect(self, pool: ThreadPoolExecutor, batches: Sequence[list[Work]]) -> None:
        """Dispatch batches side by side and commit each outcome; stop sending once the target is found broken."""
        queue = list(reversed(batches))
        running: dict[Future[Manifest], tuple[list[Work], StepRequest]] = {}
        while running or (queue and self._broken is None):
            while queue and self._broken is None and len(running) < self.settings.dispatch_threads:
                works = queue.pop()
                request = self._request(works)
                running[pool.submit(self.invoke, request)] = (works, request)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                works, request = running.pop(future)
                queue.extend(reversed(self._settle(works, request, future)))

    def _settle(self, works: list[Work], request: StepRequest, future: Future[Manifest]) -> list[list[Work]]:
        """Commit what a batch came to. Returns the batches to send instead if it died."""
        try:
            self._commit(works, future.result())
        except BatchDiedError as died:
            if len(works) > 1:
                return [[replace(work, attempt=work.attempt + 1) for work in half] for half in halves(works)]
            self._commit(works, _alone(request, died))
        except (TargetUnavailableError, ManifestError) as broken:
            self._trip(broken)
        return []

    def _commit(self, works: list[Work], manifest: Manifest) -> None:
        recorded = record(
            works,
            manifest,
            step=self.step,
            recipe=self._recipe,
            policy=self._policy,
            run_id=self.run_id,
            now=datetime.now(UTC),
        )
        if len(recorded.postponed) == len(works) and not recorded.outages and works[0].attempt > self._policy.max_attempts:
            raise ManifestError(f"{self.step.name} started none of {len(works)} items, {works[0].attempt} times in a row")
        with self.store.engine.begin() as connection:
            self.store.append(recorded.events, connection)
            self._claims.settle(connection, [*recorded.processed, *recorded.rejected, *recorded.failed])
            self._claims.release(connection, recorded.postponed)
            if not recorded.outages:
                breakers.reset(connection, self.step.name)
        self._count(recorded)
        if recorded.outages:
            self._trip(TargetUnavailableError(recorded.outages[0]))
        self.on_batch(
            f"{self.step.name}: {len(recorded.processed)} processed, {len(recorded.rejected)} rejected,"
            f" {len(recorded.failed)} failed, {len(recorded.postponed)} postponed"
        )

    def _count(self, recorded: Recorded) -> None:
        for name in ("processed", "rejected", "failed"):
            for work in getattr(recorded, name):
                tally = self._tallies[work.hour]
                setattr(tally, name, getattr(tally, name) + 1)
                tally.bytes_read += work.size_bytes
                if name == "processed" and len(tally.sample) < _SAMPLE:
                    tally.sample.append(work.item_id)
        hours = {item_stream(work.item_id): work.hour for work in (*recorded.processed, *recorded.rejected, *recorded.failed)}
        for event in recorded.events:
            tally = self._tallies[hours[event.stream_id]]
            tally.milliseconds += event.milliseconds
            if isinstance(event.payload, UploadRejected | StepFailed):
                tally.reasons[event.payload.code] += 1

    def _trip(self, broken: Exception) -> None:
        self._broken = broken
        breakers.trip(
            self.store.engine,
            self.step.name,
            str(broken),
            base_seconds=self.settings.retry_base_seconds,
            max_seconds=self.settings.retry_max_seconds,
        )

    def _request(self, works: Sequence[Work]) -> StepRequest:
        return StepRequest(
            batch_id=str(uuid.uuid4()),
            attempt_id=str(uuid.uuid4()),
            attempt=max(work.attempt for work in works),
            step=self.step.name,
            recipe=self._recipe.digest,
            parameters=self._parameters,
            items=tuple(work.batch_item(self._recipe) for work in works),
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


def _alone(request: StepRequest, died: BatchDiedError) -> Manifest:
    """The manifest that a function killed by its only file couldn't write."""
    error = ItemError(code=died.code, message=str(died), retryable=True)
    outcome = ItemOutcome(item_id=request.items[0].item_id, error=error)
    return Manifest(
        batch_id=request.batch_id,
        attempt_id=request.attempt_id,
        step=request.step,
        recipe=request.recipe,
        memory_mb=0,
        outcomes=(outcome,),
    )
