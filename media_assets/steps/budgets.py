"""Budgets: what a user may spend in a day (UTC) on steps that call models, and the stop when that is spent.

An item reserves the most that one attempt may cost before it is dispatched, with its claim; its outcome releases that and
books what it did cost, in one transaction. So what was spent, is owed and is reserved never exceeds the limit together.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import Connection, text

from media_assets.eventlog.catalogue import SpendingResumed, SpendingStopped
from media_assets.eventlog.errors import ConcurrencyError
from media_assets.eventlog.events import account_stream, spending_changed
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Step

BUDGETED = tuple(step.name for step in STEPS.values() if step.calls_model)
"""Steps that budgets are of."""


@dataclass(frozen=True)
class Account:
    """A user's money of a day in micro-dollars.

    `spent` is what outcomes cost, and what items owe that have had none yet; `reserved` what live claims hold.
    """

    limit: int
    spent: int
    reserved: int

    def affords(self, price: int) -> bool:
        return self.spent + self.reserved + price <= self.limit

    def is_spent(self, price: int) -> bool:
        """Whether `price` is too much even when everything that is reserved turns out to cost nothing."""
        return self.spent + price > self.limit

    def reserving(self, price: int) -> Account:
        return replace(self, reserved=self.reserved + price)


@dataclass(frozen=True)
class Stop:
    """A user's work on models waits: another `step` may cost more than was left of the day's limit."""

    user_id: str
    day: date
    step: str
    limit_micro_dollars: int
    spent_micro_dollars: int
    stopped_at: datetime
    account_version: int
    """Of the account stream, when the stop was read."""


def allot(
    due: Iterable[tuple[uuid.UUID, str]], accounts: dict[str, Account], price: int
) -> tuple[dict[uuid.UUID, int], set[str]]:
    """What each of the due items (and their users), in their order, reserves; and users whose money is too short for more.

    Users without an account may spend as much as it takes and reserve nothing. `accounts` are brought up to date.
    """
    reserved: dict[uuid.UUID, int] = {}
    short: set[str] = set()
    for item_id, user_id in due:
        account = accounts.get(user_id)
        if account is None:
            reserved[item_id] = 0
        elif user_id not in short and account.affords(price):
            reserved[item_id] = price
            accounts[user_id] = account.reserving(price)
        else:
            short.add(user_id)
    return reserved, short


def resumption(stop: Stop, account: Account | None, price: int, today: date) -> Literal["day", "budget"] | None:
    """Why a stop ends, or None if it doesn't. `account` is today's (None: there is no limit any more), `price` the most that
    the step may cost that it was for."""
    if account is not None and account.is_spent(price):
        return None
    return "budget" if stop.day >= today else "day"


def lock(connection: Connection) -> None:
    """Decide about money one after the other, until the transaction ends.

    In a statement of its own: the next one sees what was reserved and spent while this one waited.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(7236457)"))


def accounts(connection: Connection, settings: Settings, users: Iterable[str], today: date) -> dict[str, Account]:
    """Accounts of those of the users who have a budget."""
    limits = {user: limit for user in users if (limit := settings.daily_budget_micro_dollars(user)) is not None}
    if not limits:
        return {}
    rows = connection.execute(
        text("""
            SELECT u.user_id, coalesce(o.spent, 0) + coalesce(c.owed, 0), coalesce(c.reserved, 0)
            FROM unnest(CAST(:users AS text[])) AS u (user_id)
            LEFT JOIN LATERAL (
                SELECT sum(micro_dollars)::bigint AS spent FROM costs
                WHERE costs.user_id = u.user_id AND day = :today AND step = ANY(:steps)
            ) o ON true
            LEFT JOIN (
                SELECT c.user_id, sum(c.owed_micro_dollars)::bigint AS owed,
                       sum(c.reserved_micro_dollars) FILTER (WHERE c.lease_expires_at >= now())::bigint AS reserved
                FROM claims c JOIN steps s USING (item_id, step)
                WHERE c.step = ANY(:steps) AND s.state = 'pending' GROUP BY c.user_id
            ) c USING (user_id)
        """),
        {"users": list(limits), "today": today, "steps": list(BUDGETED)},
    )
    return {user: Account(limits[user], spent, reserved) for user, spent, reserved in rows}


def owed(connection: Connection) -> int:
    """What attempts without an outcome have cost so far that no event tells of yet, in micro-dollars."""
    return int(
        connection.execute(
            text("""
                SELECT coalesce(sum(c.owed_micro_dollars), 0) FROM claims c JOIN steps s USING (item_id, step)
                WHERE s.state = 'pending'
            """)
        ).scalar_one()
    )


def stops(connection: Connection) -> list[Stop]:
    """Users whose work on models waits, by name."""
    rows = connection.execute(
        text("""
            SELECT s.user_id, s.day, s.step, s.limit_micro_dollars, s.spent_micro_dollars, s.stopped_at,
                   (SELECT max(version) FROM events WHERE stream_id = 'account-' || s.user_id)
            FROM spending_stops s ORDER BY s.user_id
        """)
    )
    return [Stop(*row) for row in rows]


def waiting_for_money(connection: Connection, item_ids: Collection[uuid.UUID], today: date) -> dict[uuid.UUID, Stop]:
    """Those of these items that have nothing to do on this day (UTC) but what their user's stop holds up, with the stop."""
    stopped = {stop.user_id: stop for stop in stops(connection) if stop.day >= today}
    if not stopped:
        return {}
    rows = connection.execute(
        text("""
            SELECT s.item_id, s.user_id
            FROM steps s LEFT JOIN claims c ON c.item_id = s.item_id AND c.step = s.step AND c.lease_expires_at >= now()
            WHERE s.state = 'pending' AND s.item_id = ANY(:ids) AND s.user_id = ANY(:users)
            GROUP BY s.item_id, s.user_id HAVING bool_and(s.step = ANY(:budgeted) AND c.item_id IS NULL)
        """),
        {"ids": list(item_ids), "users": list(stopped), "budgeted": list(BUDGETED)},
    )
    return {item_id: stopped[user_id] for item_id, user_id in rows}


def short_of_money(connection: Connection, settings: Settings, now: datetime | None = None) -> dict[str, list[str]]:
    """By budgeted step, users of whom nothing can be claimed now: stopped ones, and those whose money is reserved elsewhere."""
    stopped = {stop.user_id for stop in stops(connection)}
    users = connection.execute(
        text("SELECT DISTINCT user_id FROM claims WHERE reserved_micro_dollars > 0 AND lease_expires_at >= now()")
    ).scalars()
    found = accounts(connection, settings, users, _today(now))
    return {
        name: sorted(
            stopped | {user for user, account in found.items() if not account.affords(STEPS[name].most_micro_dollars(settings))}
        )
        for name in BUDGETED
    }


def stop_spending(store: EventStore, settings: Settings, step: Step, user_id: str, now: datetime | None = None) -> bool:
    """Append SpendingStopped if the user's money doesn't cover another `step`, and isn't held by work under way either.

    Returns whether it did: among any number of runs that find the money spent, one tells.
    """
    now = now or datetime.now(UTC)
    price = step.most_micro_dollars(settings)
    try:
        with store.engine.begin() as connection:
            lock(connection)
            account = accounts(connection, settings, [user_id], now.date()).get(user_id)
            if account is None or account.reserved or not account.is_spent(price):
                return False
            if any(stop.user_id == user_id for stop in stops(connection)):
                return False
            payload = SpendingStopped(
                day=now.date(), limit_micro_dollars=account.limit, spent_micro_dollars=account.spent, step=step.name
            )
            stream = account_stream(user_id)
            return _tell(store, connection, user_id, payload, store.versions([stream]).get(stream, 0), now)
    except ConcurrencyError:  # something else happened to the account: the next claim decides anew
        return False


def resume_spending(store: EventStore, settings: Settings, now: datetime | None = None) -> list[str]:
    """Append SpendingResumed for each stopped user whose money covers the work again. Returns whose work goes on."""
    now = now or datetime.now(UTC)
    with store.engine.connect() as connection:
        stopped = stops(connection)
        found = accounts(connection, settings, [stop.user_id for stop in stopped], now.date())
    resumed = []
    for stop in stopped:
        price = STEPS[stop.step].most_micro_dollars(settings)
        if reason := resumption(stop, found.get(stop.user_id), price, now.date()):
            try:
                with store.engine.begin() as connection:
                    payload = SpendingResumed(reason=reason)
                    if _tell(store, connection, stop.user_id, payload, stop.account_version, now):
                        resumed.append(stop.user_id)
            except ConcurrencyError:  # somebody else has decided
                continue
    return resumed


def _tell(
    store: EventStore,
    connection: Connection,
    user_id: str,
    payload: SpendingStopped | SpendingResumed,
    account_version: int,
    now: datetime,
) -> bool:
    event = spending_changed(user_id, payload, account_version=account_version, occurred_at=now)
    [(_, inserted)] = store.append([event], connection)
    return inserted


def _today(now: datetime | None) -> date:
    return (now or datetime.now(UTC)).date()
