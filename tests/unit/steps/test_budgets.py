"""Budgets: what may be claimed, when spending stops, and when it goes on."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.eventlog.catalogue import SpendingResumed, SpendingStopped
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.budgets import (
    BUDGETED,
    Account,
    Stop,
    accounts,
    allot,
    owed,
    resume_spending,
    resumption,
    short_of_money,
    stop_spending,
    stops,
)
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.pending import LeftPending, StepCounts, due_work, left_pending, step_counts
from media_assets.steps.step import Work
from tests.unit.dispatch.paying import ANALYZE, MOST, NOW, THIS_HOUR, TODAY, YESTERDAY, account, budget, due, of, paid
from tests.unit.eventlog.lives import Life, rows, spending_stopped

TOMORROW = NOW + timedelta(days=1)


def claims(store: EventStore, settings: Settings) -> Claims:
    return Claims(store.engine, run_id=None, lease_seconds=30, settings=settings)


def take(store: EventStore, settings: Settings, limit: int = 100) -> list[Work]:
    """What a new run claims."""
    return claims(store, settings).take(ANALYZE, [THIS_HOUR], limit)


def keys(works: list[Work]) -> list[str]:
    return [work.key for work in works]


def spend(store: EventStore, micro_dollars: int, *, user: str = "ada", at: datetime = NOW) -> None:
    """As if an analysis at that time had cost so much."""
    [life] = due(store, uuid.uuid4().hex, user=user)
    store.append([of(user, life.analysis()).model_copy(update={"micro_dollars": micro_dollars, "occurred_at": at})])


def of_account(store: EventStore, settings: Settings, user: str = "ada") -> Account | None:
    with store.engine.connect() as connection:
        return accounts(connection, settings, [user], TODAY).get(user)


# What is decided, of plain values


def items(users: str) -> list[tuple[uuid.UUID, str]]:
    return [(uuid.uuid4(), user) for user in users]


def test_an_account_affords_what_is_neither_spent_nor_reserved() -> None:
    ada = Account(limit=100, spent=40, reserved=30)
    assert ada.affords(30)
    assert not ada.affords(31)
    assert not ada.is_spent(60)
    assert ada.is_spent(61)


def test_money_is_allotted_in_the_order_of_what_is_due() -> None:
    due = items("aabbbab")
    money = {"a": Account(limit=100, spent=0, reserved=0), "b": Account(limit=100, spent=20, reserved=0)}
    reserved, short = allot(due, money, 40)
    assert list(reserved) == [due[n][0] for n in (0, 1, 2, 3)]
    assert set(reserved.values()) == {40}
    assert short == {"a", "b"}
    assert (money["a"].reserved, money["b"].reserved) == (80, 80)


def test_who_has_no_budget_reserves_nothing() -> None:
    due = items("aaa")
    assert allot(due, {}, 40) == (dict.fromkeys((item for item, _ in due), 0), set())


@given(
    st.lists(st.sampled_from("abc"), max_size=50),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 500)), min_size=3, max_size=3),
    st.integers(0, 200),
)
def test_no_limit_is_ever_exceeded(users: list[str], money: list[tuple[int, int, int]], price: int) -> None:
    before = {user: Account(*figures) for user, figures in zip("abc", money, strict=True)}
    after = dict(before)
    reserved, short = allot(items("".join(users)), after, price)
    for user, ada in after.items():
        assert ada.reserved == before[user].reserved or ada.spent + ada.reserved <= ada.limit
        assert (user in short) <= (not ada.affords(price))
    assert sum(reserved.values()) == sum(after[user].reserved - before[user].reserved for user in after)


DAY = date(2026, 7, 1)
STOP = Stop("ada", DAY, "analyze", 100, 90, datetime(2026, 7, 1, 12, tzinfo=UTC), account_version=1)


@pytest.mark.parametrize(
    ("money", "today", "reason"),
    [
        (Account(100, 90, 0), DAY, None),
        (Account(100, 0, 0), DAY + timedelta(days=1), "day"),
        (Account(100, 0, 100), DAY + timedelta(days=1), "day"),  # of the old day, and settled soon
        (Account(10, 0, 0), DAY + timedelta(days=1), None),  # another day, and still not enough for one
        (Account(109, 90, 0), DAY, None),
        (Account(110, 90, 0), DAY, "budget"),
        (None, DAY, "budget"),
        (None, DAY + timedelta(days=1), "day"),
    ],
)
def test_a_stop_ends_with_its_day_or_with_more_money(money: Account | None, today: date, reason: str | None) -> None:
    assert resumption(STOP, money, 20, today) == reason


# What is reserved


def test_budgets_are_of_the_steps_that_call_models() -> None:
    assert BUDGETED == ("analyze", "embed", "vary")


def test_an_analysis_reserves_the_most_that_it_may_cost() -> None:
    hosted, local = Settings(model_provider="openai"), Settings(model_provider="local")
    assert ANALYZE.most_micro_dollars(hosted) == 10_001 + 12_800 + 13_108
    assert ANALYZE.most_micro_dollars(local) == 10_001
    assert STEPS["embed"].most_micro_dollars(hosted) == 5_001 + 641
    assert ANALYZE.most_micro_dollars(paid(analyze_max_tokens_in=1000, analyze_max_answer_tokens=1000)) == 10_001 + 2000


def test_a_claim_takes_what_the_budget_covers_and_holds_the_money(store: EventStore) -> None:
    due(store, *"abcde")
    settings = paid(daily_budget_dollars=budget(3.5))
    assert len(take(store, settings)) == 3
    assert of_account(store, settings) == Account(limit=int(MOST * 3.5), spent=0, reserved=3 * MOST)
    assert take(store, settings) == []
    assert account(store) == []  # the money is out at work: it may well come back


def test_without_a_budget_everything_is_claimed_and_nothing_reserved(store: EventStore) -> None:
    due(store, *"abcde")
    assert len(take(store, paid())) == 5
    assert rows(store, "SELECT DISTINCT reserved_micro_dollars AS r FROM claims") == [{"r": 0}]


def test_other_steps_have_no_budget(store: EventStore) -> None:
    store.append([Life().upload(at=NOW)])
    assert len(claims(store, paid(daily_budget_dollars=0)).take(STEPS["probe"], [THIS_HOUR], 10)) == 1


def test_a_budget_of_ones_own_goes_before_everybodys(store: EventStore) -> None:
    for user in ("ada", "grace", "joan"):
        due(store, *"abcd", user=user)
    settings = paid(daily_budget_dollars=budget(1), user_daily_budgets_dollars={"grace": budget(2), "joan": None})
    taken = [work.user_id for work in take(store, settings)]
    assert [taken.count(user) for user in ("ada", "grace", "joan")] == [1, 2, 4]


def test_both_steps_of_a_user_share_the_money(store: EventStore) -> None:
    due(store, "a", "b")
    [seen] = due(store, "c")
    store.append([seen.analysis()])
    settings = paid(daily_budget_dollars=budget(2))
    assert len(take(store, settings)) == 2
    assert claims(store, settings).take(STEPS["embed"], [THIS_HOUR], 10) == []


@pytest.mark.parametrize("end", ["settled", "released", "expired"])
def test_money_is_free_again_when_its_claim_ends(store: EventStore, end: str) -> None:
    [life] = due(store, "a")
    settings = paid(daily_budget_dollars=budget(1))
    mine = claims(store, settings)
    works = mine.take(ANALYZE, [THIS_HOUR], 10)
    due(store, "b")
    assert take(store, settings) == []
    with store.engine.begin() as connection:
        match end:
            case "settled":
                store.append([life.analysis()], connection)
                mine.settle(connection, works)
            case "released":
                mine.release(connection, works)
            case "expired":
                connection.exec_driver_sql("UPDATE claims SET lease_expires_at = now() - interval '1 ms'")
    assert len(take(store, settings)) == 1


def test_what_was_spent_on_another_day_or_on_other_steps_or_by_others_does_not_count(store: EventStore) -> None:
    spend(store, MOST, at=YESTERDAY)
    spend(store, MOST, user="grace")
    [life] = due(store, "a")
    store.append([life.probed(generation=1).model_copy(update={"micro_dollars": MOST, "occurred_at": NOW})])
    settings = paid(daily_budget_dollars=budget(1))
    assert of_account(store, settings) == Account(limit=MOST, spent=0, reserved=0)
    spend(store, 1)
    assert of_account(store, settings) == Account(limit=MOST, spent=1, reserved=0)


def test_what_an_item_owes_is_spent(store: EventStore) -> None:
    due(store, "a", "b")
    settings = paid(daily_budget_dollars=budget(2))
    mine = claims(store, settings)
    works = mine.take(ANALYZE, [THIS_HOUR], 1)
    with store.engine.begin() as connection:
        mine.owe(connection, works, {works[0].item_id: 5})
        mine.release(connection, works)
        assert owed(connection) == 5
    assert of_account(store, settings) == Account(limit=2 * MOST, spent=5, reserved=0)
    assert len(take(store, settings)) == 1
    store.append([Life("uploads/ada/a.jpg").removed(), Life("uploads/ada/b.jpg").removed()])
    assert of_account(store, settings) == Account(limit=2 * MOST, spent=0, reserved=0)  # nothing will ever tell of it


# When it is spent


def test_spending_stops_when_the_rest_is_too_little_and_tells_once(store: EventStore) -> None:
    spend(store, MOST)
    due(store, "a", "b")
    settings = paid(daily_budget_dollars=budget(1.9))
    for _ in range(3):
        assert take(store, settings) == []
    assert account(store) == [
        SpendingStopped(day=TODAY, limit_micro_dollars=int(MOST * 1.9), spent_micro_dollars=MOST, step="analyze")
    ]
    [event] = store.stream("account-ada")
    assert (event.user_id, event.item_id) == ("ada", None)


def test_a_stop_is_of_every_step_that_calls_a_model_and_of_no_other(store: EventStore) -> None:
    spend(store, MOST)
    due(store, "a")
    store.append([Life("uploads/ada/new.jpg").upload(at=NOW)])
    settings = paid(daily_budget_dollars=budget(1.9))
    assert take(store, settings) == []  # though an embedding would have been covered
    assert claims(store, settings).take(STEPS["embed"], [THIS_HOUR], 10) == []
    assert len(claims(store, settings).take(STEPS["probe"], [THIS_HOUR], 10)) == 1


def test_who_is_stopped_holds_nobody_up(store: EventStore) -> None:
    due(store, *map(str, range(300)))  # before everybody else's, and more than a claim takes
    spend(store, MOST)
    due(store, *map(str, range(5)), user="grace")
    due(store, *map(str, range(5)), user="joan")
    settings = paid(daily_budget_dollars=budget(1), user_daily_budgets_dollars={"joan": None})
    taken = [work.user_id for work in take(store, settings, 100)]
    assert sorted(taken) == ["grace"] + ["joan"] * 5
    assert [stop.user_id for stop in stops_of(store)] == ["ada"]


def test_who_waits_for_reserved_money_holds_nobody_up_either(store: EventStore) -> None:
    due(store, *map(str, range(300)))
    due(store, "a", user="grace")
    settings = paid(daily_budget_dollars=budget(1))
    assert [work.user_id for work in take(store, settings, 50)] == ["ada", "grace"]
    due(store, "a", user="joan")
    assert [work.user_id for work in take(store, settings, 50)] == ["joan"]


def stops_of(store: EventStore) -> list[Stop]:
    with store.engine.connect() as connection:
        return stops(connection)


def test_no_hour_is_due_for_the_work_of_who_is_stopped(store: EventStore) -> None:
    spend(store, MOST)
    due(store, "a", "b")
    settings = paid(daily_budget_dollars=budget(1))
    assert hours(store, settings) == [THIS_HOUR]  # nobody has looked at the money yet
    take(store, settings)
    assert hours(store, settings) == []
    with store.engine.connect() as connection:
        assert step_counts(connection)["analyze"] == StepCounts(pending=2, done=1, over_budget=2)
        assert left_pending(connection, "analyze", THIS_HOUR) == LeftPending(items=2, over_budget=2)
    due(store, "a", user="grace")
    assert hours(store, settings) == [THIS_HOUR]


def test_no_hour_is_due_for_work_whose_money_is_reserved(store: EventStore) -> None:
    due(store, "a", "b")
    settings = paid(daily_budget_dollars=budget(1))
    mine = claims(store, settings)
    mine.take(ANALYZE, [THIS_HOUR], 10)
    assert hours(store, settings) == []
    with store.engine.connect() as connection:
        assert short_of_money(connection, settings) == {step: ["ada"] for step in BUDGETED}
    mine.release_all()
    assert hours(store, settings) == [THIS_HOUR]


def hours(store: EventStore, settings: Settings) -> list[datetime]:
    """With due work on pictures, which is all that asks models."""
    with store.engine.connect() as connection:
        return [each.hour for each in due_work(connection, settings) if each.pipeline == "image"]


def test_who_finds_the_money_spent_at_once_tells_once(store: EventStore) -> None:
    spend(store, MOST)
    settings = paid(daily_budget_dollars=budget(1))
    assert [stop_spending(store, settings, ANALYZE, "ada") for _ in range(2)] == [True, False]
    assert not stop_spending(store, settings, ANALYZE, "grace")
    assert len(account(store)) == 1


# When it goes on


def test_another_day_has_money_again(store: EventStore) -> None:
    spend(store, MOST, at=YESTERDAY)
    store.append([spending_stopped(day=YESTERDAY.date())])
    due(store, "a")
    settings = paid(daily_budget_dollars=budget(1))
    assert hours(store, settings) == []
    assert resume_spending(store, settings) == ["ada"]
    assert account(store)[-1] == SpendingResumed(reason="day")
    assert stops_of(store) == []
    assert hours(store, settings) == [THIS_HOUR]
    assert len(take(store, settings)) == 1
    assert resume_spending(store, settings) == []


@pytest.mark.parametrize("raised", [budget(2), None])
def test_a_higher_budget_or_none_lets_it_go_on(store: EventStore, raised: Decimal | None) -> None:
    spend(store, MOST)
    due(store, "a")
    low, high = paid(daily_budget_dollars=budget(1)), paid(daily_budget_dollars=raised)
    assert take(store, low) == []
    assert resume_spending(store, low) == []
    assert resume_spending(store, high) == ["ada"]
    assert account(store)[-1] == SpendingResumed(reason="budget")
    assert len(take(store, high)) == 1


def test_stop_and_go_follow_each_other(store: EventStore) -> None:
    spend(store, MOST)
    due(store, "a")
    for day in range(3):
        assert stop_spending(store, paid(daily_budget_dollars=budget(1)), ANALYZE, "ada", now=NOW)
        assert resume_spending(store, paid(daily_budget_dollars=budget(1)), now=TOMORROW) == ["ada"], day
    assert [event.type for event in store.stream("account-ada")] == ["SpendingStopped", "SpendingResumed"] * 3


def test_two_ticks_that_resume_at_once_resume_once(store: EventStore) -> None:
    for user in ("ada", "grace"):
        spend(store, MOST, user=user)
        stop_spending(store, paid(daily_budget_dollars=budget(1)), ANALYZE, user)
    with store.engine.connect() as connection:
        seen = stops(connection)
    resumed = [resume_spending(store, paid()) for _ in range(2)]
    assert resumed == [["ada", "grace"], []]
    assert [stop.account_version for stop in seen] == [1, 1]
    assert [event.version for event in store.stream("account-ada")] == [1, 2]
