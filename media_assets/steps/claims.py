"""Claims: a batch takes items under a lease before it is dispatched, so that nothing is computed by two runs at once, and
nothing is spent that a budget doesn't cover."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from media_assets.eventlog.events import Trace
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps import budgets
from media_assets.steps.step import Job, Step, Work

# Two runs that claim a step at once take turns for a few milliseconds, so that the second one sees what the first took.
# Row locks with SKIP LOCKED would need the right to update read models, which only their folds have.
_TAKE_TURNS = text("SELECT pg_advisory_xact_lock(7236456, hashtext(:step))")

# New uploads before recomputations, oldest first: hour by hour in the order of the index `steps_pending`, so that a claim
# costs the same however much is pending.
_DUE = text("""
    SELECT first.item_id, first.user_id
    FROM unnest(CAST(:hours AS timestamptz[])) AS h (hour)
    CROSS JOIN LATERAL (
        SELECT s.item_id, s.user_id, s.recomputation, s.position
        FROM steps s
        WHERE s.step = :step AND s.hour = h.hour AND s.recomputation <= :again
          AND s.state = 'pending' AND (s.retry_at IS NULL OR s.retry_at <= now())
          AND s.user_id <> ALL(CAST(:without_users AS text[])) AND s.item_id <> ALL(CAST(:without_items AS uuid[]))
          AND (SELECT c.lease_expires_at >= now() FROM claims c
               WHERE c.item_id = s.item_id AND c.step = s.step) IS NOT TRUE
        ORDER BY s.recomputation, s.position
        LIMIT :limit
    ) AS first
    ORDER BY first.recomputation, first.position
    LIMIT :limit
""")

# By key, whatever the planner thinks of tables whose statistics lag behind an import: LIMIT 1 leaves it no choice.
_CLAIM = text("""
    WITH claimed AS (
        INSERT INTO claims (item_id, step, user_id, claim_id, run_id, lease_expires_at, reserved_micro_dollars)
        SELECT s.item_id, s.step, s.user_id, :claim_id, :run_id, now() + make_interval(secs => :lease_seconds), d.reserved
        FROM unnest(CAST(:item_ids AS uuid[]), CAST(:reserved AS bigint[])) AS d (item_id, reserved)
        CROSS JOIN LATERAL (SELECT * FROM steps WHERE item_id = d.item_id AND step = :step LIMIT 1) s
        WHERE s.state = 'pending' ORDER BY s.item_id
        ON CONFLICT (item_id, step) DO UPDATE
        SET claim_id = excluded.claim_id, run_id = excluded.run_id, lease_expires_at = excluded.lease_expires_at,
            reserved_micro_dollars = excluded.reserved_micro_dollars, attempts = claims.attempts + 1
        WHERE claims.lease_expires_at < now()
        RETURNING item_id, step, attempts
    )
    SELECT s.item_id, s.user_id, source.bucket, source.key, source.version_id, source.size_bytes,
           coalesce(source.width::bigint * source.height, 0) AS pixels, coalesce(source.width, 0) AS width,
           coalesce(source.height, 0) AS height, coalesce(source.format, '') AS format,
           s.hour, s.step, s.generation, s.failures, c.attempts + s.failures AS attempt, s.recomputation, s.correlation_id,
           s.cause_id, source.video, source.job_of, source.options, source.texts
    FROM claimed c
    CROSS JOIN LATERAL (SELECT * FROM steps WHERE item_id = c.item_id AND step = c.step LIMIT 1) s
    CROSS JOIN LATERAL (
        SELECT bucket, key, version_id, size_bytes, width, height, format, video, NULL::uuid AS job_of, NULL::jsonb AS options,
               NULL::jsonb AS texts
        FROM items WHERE item_id = c.item_id
        UNION ALL
        SELECT u.bucket, u.key, u.version_id, u.size_bytes, u.width, u.height, u.format, u.video, j.item_id, j.options, j.texts
        FROM jobs j JOIN uploads u USING (item_id, version_id) WHERE j.job_id = c.item_id
        LIMIT 1
    ) source
    ORDER BY s.recomputation, s.position
""")


class Claims:
    """The claims of one drain of one step, all under one lease that `renew` extends.

    Of steps that budgets are of, only what the user's money covers is claimed. `settings` say which budgets there are.
    """

    def __init__(self, engine: Engine, *, run_id: str | None, lease_seconds: int, settings: Settings | None = None) -> None:
        self._engine = engine
        self._run_id = run_id
        self._lease_seconds = lease_seconds
        self._settings = settings or Settings()
        self._budgets = settings if settings is not None and settings.has_budgets else None
        self.claim_id = uuid.uuid4()

    def take(self, step: Step, hours: Sequence[datetime], limit: int, *, new_only: bool = False) -> list[Work]:
        """Claim up to `limit` due items of these hours, with the facts that the step reads; no recomputations if `new_only`.

        A user whose money is spent is passed over and, when no work under way holds any of it, stopped.
        """
        short: set[str] = set()
        with self._engine.begin() as connection:
            connection.execute(_TAKE_TURNS, {"step": step.name})
            reserved = self._choose(connection, step, hours, limit, short, new_only)
            works = self._claim(connection, step, reserved)
            inputs = step.inputs(connection, works, self._settings) if works else {}
        if self._budgets is not None:
            for user_id in short:
                budgets.stop_spending(EventStore(self._engine), self._budgets, step, user_id)
        return [replace(work, input=inputs.get(work.item_id, {})) for work in works]

    def _choose(
        self,
        connection: Connection,
        step: Step,
        hours: Sequence[datetime],
        limit: int,
        short: set[str],
        new_only: bool,
    ) -> dict[uuid.UUID, int]:
        """The items to claim, and what each reserves. Users whose money is too short for all that is due join `short`."""
        if not step.calls_model:
            return dict.fromkeys((item_id for item_id, _ in _due(connection, step, hours, limit, new_only)), 0)
        if self._budgets is not None:
            budgets.lock(connection)
        passed_over = {stop.user_id for stop in budgets.stops(connection)}
        accounts: dict[str, budgets.Account] = {}
        known: set[str] = set()
        chosen: dict[uuid.UUID, int] = {}
        while len(chosen) < limit:
            due = _due(connection, step, hours, limit - len(chosen), new_only, passed_over | short, chosen)
            if self._budgets is None or not due:
                return chosen | dict.fromkeys((item_id for item_id, _ in due), 0)
            users = {user_id for _, user_id in due} - known
            accounts |= budgets.accounts(connection, self._budgets, users, datetime.now(UTC).date())
            known |= users
            reserved, too_short = budgets.allot(due, accounts, step.most_micro_dollars(self._budgets))
            chosen |= reserved
            short |= too_short
            if not too_short:
                break
        return chosen

    def _claim(self, connection: Connection, step: Step, reserved: Mapping[uuid.UUID, int]) -> list[Work]:
        rows = connection.execute(
            _CLAIM,
            {
                "step": step.name,
                "item_ids": list(reserved),
                "reserved": list(reserved.values()),
                "claim_id": self.claim_id,
                "run_id": self._run_id,
                "lease_seconds": self._lease_seconds,
            },
        )
        return [_work(row._asdict()) for row in rows]

    def renew(self) -> None:
        """Extend the lease of everything still claimed. Rows that are being settled are left out, so it never waits."""
        with self._engine.begin() as connection:
            connection.execute(
                text("""
                    UPDATE claims SET lease_expires_at = now() + make_interval(secs => :s)
                    WHERE (item_id, step) IN (
                        SELECT item_id, step FROM claims
                        WHERE claim_id = :claim_id AND lease_expires_at <> '-infinity' FOR UPDATE SKIP LOCKED
                    )
                """),
                {"s": self._lease_seconds, "claim_id": self.claim_id},
            )

    def owed(self, connection: Connection, works: Iterable[Work]) -> dict[uuid.UUID, int]:
        """What items owe for attempts that had no outcome, in micro-dollars: their next outcomes pay for it.

        Nothing is locked: whoever appends locks the log first and claims after that, as erasure does.
        """
        rows = connection.execute(
            text("""
                SELECT item_id, owed_micro_dollars FROM claims
                WHERE item_id = ANY(:ids) AND step = ANY(:steps) AND owed_micro_dollars > 0
            """),
            _named(works),
        )
        return dict(rows.tuples().all())

    def settle(self, connection: Connection, works: Sequence[Work], paid: Mapping[uuid.UUID, int] | None = None) -> None:
        """Forget the claims of items whose outcome the same transaction has recorded, and with them what they reserved.

        What the outcomes `paid` of the items' debts is settled even where another run has taken an item over.
        """
        if paid:
            self.owe(connection, works, {item_id: -debt for item_id, debt in paid.items()})
        connection.execute(
            text("DELETE FROM claims WHERE claim_id = :claim_id AND item_id = ANY(:ids)"),
            {"claim_id": self.claim_id, "ids": [work.item_id for work in works]},
        )

    def release(self, connection: Connection, works: Iterable[Work]) -> None:
        """Give items back without an outcome. They may have been attempted, so their claims stay, expired, and count."""
        connection.execute(
            text("UPDATE claims SET lease_expires_at = '-infinity' WHERE claim_id = :claim_id AND item_id = ANY(:ids)"),
            {"claim_id": self.claim_id, "ids": [work.item_id for work in works]},
        )

    def release_all(self) -> None:
        """Give back whatever is still claimed: the end of a drain, however it ends."""
        with self._engine.begin() as connection:
            connection.execute(
                text("UPDATE claims SET lease_expires_at = '-infinity' WHERE claim_id = :claim_id"),
                {"claim_id": self.claim_id},
            )

    def owe(self, connection: Connection, works: Sequence[Work], charges: Mapping[uuid.UUID, int]) -> None:
        """Put down what an attempt cost that has no outcome to say so: the item's next one will."""
        connection.execute(
            text("""
                UPDATE claims c SET owed_micro_dollars = c.owed_micro_dollars + d.owed
                FROM unnest(CAST(:ids AS uuid[]), CAST(:owed AS bigint[])) AS d (item_id, owed)
                WHERE c.item_id = d.item_id AND c.step = ANY(:steps)
            """),
            {**_named(works), "owed": [charges.get(work.item_id, 0) for work in works]},
        )

    def owe_and_go_on(self, step: Step, works: Sequence[Work], charges: Mapping[uuid.UUID, int]) -> list[Work]:
        """Put down what an attempt cost, and return those items that another one is covered for; others are given back."""
        with self._engine.begin() as connection:
            if step.calls_model and self._budgets is not None:
                budgets.lock(connection)
            self.owe(connection, works, charges)
            if not step.calls_model or self._budgets is None:
                return list(works)
            users = {work.user_id for work in works}
            accounts = budgets.accounts(connection, self._budgets, users, datetime.now(UTC).date())
            # What they reserved for the attempt that cost this is what they reserve for the next one.
            overdrawn = {user_id for user_id, account in accounts.items() if not account.affords(0)}
            self.release(connection, [work for work in works if work.user_id in overdrawn])
        return [work for work in works if work.user_id not in overdrawn]


def _due(
    connection: Connection,
    step: Step,
    hours: Sequence[datetime],
    limit: int,
    new_only: bool,
    without_users: Collection[str] = (),
    without_items: Collection[uuid.UUID] = (),
) -> list[tuple[uuid.UUID, str]]:
    rows = connection.execute(
        _DUE,
        {
            "step": step.name,
            "hours": list(hours),
            "limit": limit,
            "again": not new_only,
            "without_users": list(without_users),
            "without_items": list(without_items),
        },
    )
    return list(rows.tuples())


def _named(works: Iterable[Work]) -> dict[str, Any]:
    works = list(works)
    return {"ids": [work.item_id for work in works], "steps": list({work.step for work in works})}


def _work(row: dict[str, Any]) -> Work:
    trace = Trace(correlation_id=row.pop("correlation_id"), causation_id=row.pop("cause_id"))
    item_id, options, texts = row.pop("job_of"), row.pop("options"), row.pop("texts")
    job = None if item_id is None else Job(item_id, options, texts and tuple(texts))
    return Work(**row, trace=trace, job=job)
