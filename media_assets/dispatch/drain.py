"""Drain a step: claim, batch, dispatch, prove, append, until nothing is due. The loop that a run is."""

from __future__ import annotations

import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch import breakers
from media_assets.dispatch.batching import halves, limits_for, make_batches
from media_assets.dispatch.billing import charges, unanswered
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.invocation import Invocation
from media_assets.dispatch.outcomes import Recorded, RetryPolicy, record
from media_assets.eventlog.catalogue import StepFailed, UploadRejected
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import item_stream
from media_assets.eventlog.incarnations import erased_items
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.budgets import resume_spending
from media_assets.steps.claims import Claims
from media_assets.steps.step import Step, Work

Invoke = Callable[[StepRequest], Manifest]
"""Sends a request to the step's target and returns the verified manifest; raises what dispatch.errors names."""

_SAMPLE = 24


@dataclass
class Tally:
    """What a drain did to one hour's items. `erased` ones were erased since they were claimed. `sample` holds the ids of
    some that were processed, `reasons` counts the codes of what was rejected or failed."""

    processed: int = 0
    failed: int = 0
    rejected: int = 0
    erased: int = 0
    bytes_read: int = 0
    milliseconds: int = 0
    micro_dollars: int = 0
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
        self._claims = Claims(self.store.engine, run_id=self.run_id, lease_seconds=settings.lease_seconds, settings=settings)
        self._tallies: dict[datetime, Tally] = defaultdict(Tally)
        self._broken: Exception | None = None

    def run(self) -> dict[datetime, Tally]:
        threads = self.settings.dispatch_threads
        limits = limits_for(self.step, self.settings)
        window = 2 * threads * limits.items
        if self.step.calls_model:
            resume_spending(self.store, self.settings)
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
        running: dict[Future[Manifest], Invocation] = {}
        try:
            while running or (queue and self._broken is None):
                while queue and self._broken is None and len(running) < self.settings.dispatch_threads:
                    works = self._without_erased(queue.pop())
                    if not works:
                        continue
                    invocation = Invocation(self.step, works, self._request(works))
                    running[pool.submit(invocation.send, self.invoke)] = invocation
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    queue.extend(reversed(self._settle(running.pop(future), future)))
        except BaseException:
            # Interrupted: nobody hears what comes of these, but they have cost something.
            for invocation in running.values():
                self._owe(invocation)
            raise

    def _without_erased(self, works: list[Work]) -> list[Work]:
        """What wasn't erased while it waited for its turn. The last sweep of an erased item counts on nothing being sent."""
        with self.store.engine.begin() as connection:
            erased = erased_items(connection, [work.item_id for work in works])
            gone = [work for work in works if work.item_id in erased]
            self._claims.settle(connection, gone)
        for work in gone:
            self._tallies[work.hour].erased += 1
        return [work for work in works if work.item_id not in erased]

    def _settle(self, sent: Invocation, future: Future[Manifest]) -> list[list[Work]]:
        """Commit what a batch came to. Returns the batches to send instead if it died."""
        try:
            self._commit(sent.works, future.result())
        except BatchDiedError as died:
            if len(sent.works) > 1:
                return [[replace(work, attempt=work.attempt + 1) for work in half] for half in halves(self._owe(sent))]
            self._commit(sent.works, sent.died_alone(died))
        except (TargetUnavailableError, ManifestError) as broken:
            if isinstance(broken, ManifestError) or broken.ran:
                self._owe(sent)
            self._trip(broken)
        return []

    def _owe(self, sent: Invocation) -> list[Work]:
        """Put down the bill of a batch that nothing came of. Returns the items that may be sent again."""
        costs = unanswered(sent.works, self.step, self.settings, sent.milliseconds)
        return self._claims.owe_and_go_on(self.step, sent.works, costs)

    def _commit(self, works: list[Work], manifest: Manifest) -> None:
        """Append what a batch came to, without the items that were erased while it was under way."""
        costs = charges(manifest, self.step, self.settings)
        erased: list[Work] = []
        while True:
            try:
                recorded = self._append(works, manifest, costs, erased)
                break
            except StreamClosedError as closed:
                erased += [work for work in works if item_stream(work.item_id) in closed.stream_ids]
                works = [work for work in works if work not in erased]
        self._count(recorded, erased)
        for work in erased:
            self.on_batch(f"{self.step.name}: item {work.item_id} was erased while it was computed")
        if recorded.outages:
            self._trip(TargetUnavailableError(recorded.outages[0]))
        self.on_batch(
            f"{self.step.name}: {len(recorded.processed)} processed, {len(recorded.rejected)} rejected,"
            f" {len(recorded.failed)} failed, {len(recorded.postponed)} postponed"
        )

    def _append(
        self, works: Sequence[Work], manifest: Manifest, costs: Mapping[uuid.UUID, int], erased: Sequence[Work]
    ) -> Recorded:
        with self.store.engine.begin() as connection:
            owed = self._claims.owed(connection, works)
            recorded = record(
                works,
                manifest,
                step=self.step,
                recipe=self._recipe,
                policy=self._policy,
                run_id=self.run_id,
                now=datetime.now(UTC),
                charges=costs,
                owed=owed,
            )
            if works and len(recorded.postponed) == len(works) and not recorded.outages:
                attempt = works[0].attempt
                if attempt > self._policy.max_attempts:
                    raise ManifestError(f"{self.step.name} started none of {len(works)} items, {attempt} times in a row")
            self.store.append(recorded.events, connection)
            self._claims.settle(connection, [*recorded.processed, *recorded.rejected, *recorded.failed, *erased], owed)
            self._claims.owe(connection, recorded.postponed, recorded.owed)
            self._claims.release(connection, recorded.postponed)
            if not recorded.outages:
                breakers.reset(connection, self.step.name)
        return recorded

    def _count(self, recorded: Recorded, erased: Sequence[Work]) -> None:
        for work in erased:
            self._tallies[work.hour].erased += 1
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
            tally.micro_dollars += event.micro_dollars
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
