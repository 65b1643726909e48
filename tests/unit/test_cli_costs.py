"""What was spent, on the command line: `costs`, and what `status` says of budgets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime

import boto3
import pytest
from typer.testing import CliRunner

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.cli.output import CommandError, money_text
from media_assets.eventlog.costs import costs_by, item_cost
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.steps.budgets import stop_spending
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.dispatch.paying import ANALYZE, TODAY, due, of, paid
from tests.unit.eventlog.lives import Life


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to."""
    with talking_to(database, monkeypatch):
        yield database.store


def costing(event: NewEvent, micro_dollars: int, day: int, user: str = "ada") -> NewEvent:
    figures = {
        "micro_dollars": micro_dollars,
        "milliseconds": 1000,
        "memory_mb": 512,
        "tokens_in": 100,
        "tokens_out": 10,
        "occurred_at": datetime(2026, 7, day, 23, 59, tzinfo=UTC),
    }
    return of(user, event).model_copy(update=figures)


@pytest.fixture
def history(store: EventStore) -> EventStore:
    """Three days of two users."""
    cat, dog = Life(), Life("uploads/grace/dog.jpg")
    store.append(
        [
            cat.upload(),
            costing(cat.probed(), 1, 1),
            costing(cat.thumbnails(), 20, 1),
            costing(cat.failed("analyze"), 300, 2),
            costing(cat.analysis(), 4000, 3),
            of("grace", dog.upload()),
            costing(dog.probed(), 50_000, 3, user="grace"),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("step", {"analyze": 4300, "probe": 50_001, "thumbnail": 20}),
        ("user", {"ada": 4321, "grace": 50_000}),
        ("day", {"2026-07-01": 21, "2026-07-02": 300, "2026-07-03": 54_000}),
    ],
)
def test_costs_by(history: EventStore, by: str, expected: dict[str, int]) -> None:
    document = told("costs", "--by", by)
    assert {row[by]: row["micro_dollars"] for row in document["costs"]} == expected
    assert list(expected) == [row[by] for row in document["costs"]]
    assert document["total"] == {
        "outcomes": 4,
        "failures": 1,
        "milliseconds": 5000,
        "gigabyte_seconds": 2.5,
        "tokens_in": 500,
        "tokens_out": 50,
        "micro_dollars": 54_321,
    }


@pytest.mark.parametrize(
    ("period", "micro_dollars"),
    [
        (["--since", "2026-07-02"], 54_300),
        (["--until", "2026-07-02"], 321),
        (["--since", "2026-07-02", "--until", "2026-07-02"], 300),
        (["--since", "2026-08-01"], 0),
    ],
)
def test_costs_of_a_period_include_both_its_days(history: EventStore, period: list[str], micro_dollars: int) -> None:
    assert told("costs", *period)["total"]["micro_dollars"] == micro_dollars


def test_costs_for_people(history: EventStore) -> None:
    table = said("costs")
    assert "$0.004300" in table
    assert "$0.054321" in table.splitlines()[-2]
    assert "total" in table.splitlines()[-2]


def test_nothing_has_cost_nothing(store: EventStore) -> None:
    document = told("costs")
    assert (document["costs"], document["total"]["micro_dollars"], document["owed_micro_dollars"]) == ([], 0, 0)
    assert "$0.000000" in said("costs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "2026-13-01"], "--since '2026-13-01' is no day; write it like 2026-07-01"),
        (["--since", "20261122"], "--since '20261122' is no day; write it like 2026-07-01"),
        (["--since", "2026-W47-7"], "--since '2026-W47-7' is no day; write it like 2026-07-01"),
        (["--until", "yesterday"], "--until 'yesterday' is no day; write it like 2026-07-01"),
        (["--since", "2026-07-02", "--until", "2026-07-01"], "--since 2026-07-02 is after --until 2026-07-01"),
    ],
)
def test_a_day_that_is_none_is_named(store: EventStore, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError) as raised:
        CliRunner().invoke(app, ["costs", *arguments], catch_exceptions=False)
    assert str(raised.value) == message


def test_a_first_day_in_the_future_is_said(store: EventStore) -> None:
    result = CliRunner().invoke(app, ["costs", "--since", "2999-01-01", "--json"], catch_exceptions=False)
    assert "--since 2999-01-01 is in the future" in result.stderr
    assert json.loads(result.stdout)["costs"] == []


def test_an_items_cost_is_that_of_all_its_attempts(history: EventStore) -> None:
    with history.engine.connect() as db:
        assert item_cost(db, Life().item_id) == 4321
        assert item_cost(db, Life("uploads/ada/other.jpg").item_id) == 0
    assert told("show", str(Life().item_id))["micro_dollars"] == 4321
    assert "$0.004321" in said("show", Life().key)


def test_what_was_spent_on_an_item_outlives_it(history: EventStore, database: Database) -> None:
    eraser = EventStore.connect(database.owner_url)
    eraser.erase([Life().erased()])
    eraser.engine.dispose()
    with history.engine.connect() as db:
        assert item_cost(db, Life().item_id) == 4321
        assert costs_by(db, "user", until=date(2026, 7, 3))[1].micro_dollars == 54_321


@pytest.mark.parametrize(
    ("micro_dollars", "text"),
    [
        (0, "$0.000000"),
        (123, "$0.000123"),
        (999_999, "$0.999999"),
        (1_000_000, "$1.00"),
        (1_234_567, "$1.24"),
        (12_345_000_000, "$12,345.00"),
    ],
)
def test_dollars_are_shown_so(micro_dollars: int, text: str) -> None:
    assert money_text(micro_dollars) == text


def test_status_names_who_waits_for_money(store: EventStore, aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_UPLOAD_QUEUE_URL", boto3.client("sqs").create_queue(QueueName="status")["QueueUrl"])
    assert told("status")["spent_budgets"] == []
    [seen, *_] = due(store, *"abc")
    store.append([of("ada", seen.analysis()).model_copy(update={"micro_dollars": 16_400, "occurred_at": datetime.now(UTC)})])
    settings = paid(daily_budget_dollars="0.05")
    assert stop_spending(store, settings, ANALYZE, "ada")

    document = told("status")
    [stop] = document["spent_budgets"]
    assert datetime.fromisoformat(stop.pop("stopped_at")).date() == TODAY
    assert stop == {
        "user_id": "ada",
        "day": TODAY.isoformat(),
        "limit_micro_dollars": 50_000,
        "spent_micro_dollars": 16_400,
        "step": "analyze",
        "may_cost_micro_dollars": 10_001,  # of the settings that status sees: the embedded model's
    }
    assert {name: counts["over_budget"] for name, counts in document["steps"].items()} == {
        "probe": 0,
        "thumbnail": 0,
        "detect": 0,
        "analyze": 2,
        "embed": 1,
        "frames": 0,
        "vary": 0,
        "segment": 0,
    }
    text = said("status")
    assert f"ada has spent $0.016400 of the $0.050000 for {TODAY}; another analyze may cost $0.010001" in text
    assert "3 items wait for money (analyze, embed, vary)" in text
    account = said("events", "account-ada", "--tree")
    assert f"$0.016400 of the $0.050000 for {TODAY} are spent, too little is left for another analyze" in account
    assert [event["type"] for event in told("events", "account-ada")] == ["SpendingStopped"]
    with pytest.raises(CommandError, match="account-grace has no events"):
        said("events", "account-grace")


def test_status_names_budgets_and_those_that_cover_nothing(
    store: EventStore, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_UPLOAD_QUEUE_URL", boto3.client("sqs").create_queue(QueueName="status")["QueueUrl"])
    assert told("status")["budgets"] == {"each_user_micro_dollars": None, "users": {}}
    monkeypatch.setenv("MEDIA_DAILY_BUDGET_DOLLARS", "0.008")
    monkeypatch.setenv("MEDIA_USER_DAILY_BUDGETS_DOLLARS", '{"joan": 10, "grace": null}')
    get_settings.cache_clear()
    connection.settings.cache_clear()
    assert told("status")["budgets"] == {"each_user_micro_dollars": 8000, "users": {"joan": 10_000_000, "grace": None}}
    uncovered = "can't cover a single analyze, which may cost $0.010001: none begins"
    text = said("status")
    assert "daily budget: $0.008 a user; joan $10; grace as much as it takes" in text
    assert f"a daily budget of $0.008000 for each user {uncovered}" in text
    assert "single embed" not in text

    due(store, "a")
    assert stop_spending(store, paid(daily_budget_dollars="0.008"), ANALYZE, "ada")
    text = said("status")
    assert f"a daily budget of $0.008000 for ada {uncovered}" in text
    assert "ada has spent" not in text
