"""What is stale, and asking for it anew, on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.cli.output import CommandError
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.lives import NOON, Life, steps

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to. It has a cat that is done by older recipes, and an hour later a dog whose
    thumbnails were given up."""
    later = NOON + timedelta(hours=1)
    database.store.append([*cat.done(), dog.upload(at=later), dog.probed(), dog.abandoned("thumbnail")])
    with talking_to(database, monkeypatch):
        yield database.store


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as raised:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    return str(raised.value)


def test_stale_tells_totals_items_and_prices(store: EventStore) -> None:
    document = told("stale")
    assert [(row["step"], row["reason"], row["items"]) for row in document["totals"]] == [
        ("probe", "recipe", 2),
        ("thumbnail", "dead", 1),
        ("thumbnail", "recipe", 1),
        ("analyze", "missing", 1),
        ("analyze", "recipe", 1),
        ("embed", "missing", 1),
        ("embed", "recipe", 1),
        ("detect", "missing", 1),
        ("detect", "recipe", 1),
    ]
    assert {row["estimated_from"] for row in document["totals"]} == {"other_recipes"}
    assert document["estimated_micro_dollars"] == 0  # as it was measured
    assert (len(document["items"]), document["left"]) == (10, 0)
    assert document["items"][0] == {
        "item_id": str(cat.item_id),
        "key": cat.key,
        "hour": "2026-07-01T12:00:00+00:00",
        "step": "probe",
        "reason": "recipe",
        "recipe": "r1",
        "current_recipe": document["items"][0]["current_recipe"],
        "estimated_micro_dollars": 0,
        "estimated_from": "other_recipes",
    }
    assert store.head() == 9


def test_stale_by_step_hour_and_page(store: EventStore) -> None:
    assert [item["key"] for item in told("stale", "--step", "probe", "--hours", "2026-07-01-13:00")["items"]] == [dog.key]
    assert [item["key"] for item in told("stale", "--step", "probe", "--since", "2026-07-01-13:00")["items"]] == [dog.key]
    page = told("stale", "--limit", "3", "--offset", "1")
    assert (len(page["items"]), page["left"], len(page["totals"])) == (3, 6, 9)
    text = said("stale", "--limit", "2")
    assert "and 8 more" in text
    assert "every result is there" in said("stale", "--since", "2026-07-02")


def test_a_price_that_was_never_measured_is_a_bound(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_MODEL_PROVIDER", "openai")
    connection.settings.cache_clear()
    get_settings.cache_clear()
    row = next(row for row in told("stale", "--step", "analyze")["totals"] if row["reason"] == "recipe")
    assert row["estimated_from"] == "at_most"
    assert row["estimated_micro_dollars"] > 1000
    assert "at most $" in said("stale", "--step", "analyze")
    assert "2 results of 1 item, at most $" in said("reprocess", "--stale", "--step", "analyze", "--dry-run")


def test_a_dry_run_tells_what_is_asked_for_then_and_changes_nothing(store: EventStore) -> None:
    head = store.head()
    dry = told("reprocess", "--stale", "--step", "thumbnail", "--dry-run")
    assert (dry["items"], dry["requested"], dry["dry_run"]) == (1, 0, True)
    assert {name: row["results"] for name, row in dry["steps"].items()} == {
        "thumbnail": 1,
        "detect": 1,
        "analyze": 1,
        "embed": 1,
    }
    assert "4 results of 1 item, about $0.000000; nothing was asked for" in said(
        "reprocess", "--stale", "--step", "thumbnail", "--dry-run"
    )
    assert store.head() == head

    assert told("reprocess", "--stale", "--step", "thumbnail")["requested"] == 4
    assert steps(store, cat) == {"probe": "done", "thumbnail": "pending"}
    assert told("reprocess", "--stale", "--step", "thumbnail")["items"] == 0
    assert told("reprocess", cat.key, "--step", "thumbnail")["requested"] == 0  # still open
    assert "nothing would be computed anew" in said("reprocess", cat.key, "--step", "thumbnail", "--dry-run")


@pytest.mark.parametrize(
    ("arguments", "items", "requested"),
    [
        (["--dead"], 1, 4),
        (["--all", "--hours", "2026-07-01-12:00"], 1, 5),
        (["--all", "--step", "embed", "--only"], 1, 1),
        (["--stale", "--step", "analyze", "--only"], 1, 1),
        (["--stale", "--since", "2026-07-02"], 0, 0),
        ([cat.key, cat.key, "--step", "embed"], 1, 1),
    ],
)
def test_choices(store: EventStore, arguments: list[str], items: int, requested: int) -> None:
    document = told("reprocess", *arguments)
    assert (document["items"], document["requested"]) == (items, requested)


def test_many_results_take_a_yes(store: EventStore) -> None:
    lives = [Life(f"uploads/ada/{n}.jpg") for n in range(30)]
    store.append([event for life in lives for event in life.done(at=NOON)])
    head = store.head()
    assert refused("reprocess", "--all", "--hours", "2026-07-01-12:00") == (
        "this computes 155 results of 31 items, about $0.000000: say --yes where nobody can be asked, or --dry-run"
    )
    assert store.head() == head
    assert told("reprocess", "--all", "--hours", "2026-07-01-12:00", "--yes")["requested"] == 155


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stale", "--step", "paint"], "there is no step 'paint'; steps are probe, thumbnail, analyze, embed"),
        (["stale", "--since", "yesterday"], "--since: 'yesterday' is no hour and no day"),
        (["stale", "--hours", "2026-07-02..2026-07-01"], "--hours: 2026-07-02 is after 2026-07-01"),
        (["stale", "--hours", "2026-07-01", "--since", "2026-07-01"], "give --hours or --since, not both"),
        (["reprocess"], "name items, or give one of --stale, --dead and --all"),
        (["reprocess", "--stale", "--dead"], "name items, or give one of --stale, --dead and --all"),
        (["reprocess", cat.key, "--all"], "name items, or give one of --stale, --dead and --all"),
        (["reprocess", cat.key, "--hours", "2026-07-01"], "--hours and --since go with --stale, --dead or --all"),
    ],
)
def test_what_makes_no_sense_is_refused(store: EventStore, arguments: list[str], message: str) -> None:
    assert refused(*arguments).startswith(message)
