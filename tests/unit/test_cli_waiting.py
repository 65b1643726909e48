"""What `upload --wait` and `show` say of items that wait for money."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.cli.uploading import Upload, follow
from media_assets.eventlog.store import EventStore
from media_assets.steps.budgets import waiting_for_money
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, spending_resumed, spending_stopped

WAITS = "waits for money: ada's budget of {} is spent ($0.000998 of $0.001000)"


def on_its_way(life: Life) -> Upload:
    return Upload(Path(life.key).relative_to("uploads"), life.key, life.item_id, "v1", 0)


def today() -> date:
    return datetime.now(UTC).date()


def test_following_ends_where_an_item_waits_for_money(store: EventStore) -> None:
    day = today() + timedelta(days=1)  # midnight may come
    cat, dog, owl = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "owl"))
    store.append(
        [*(cat.upload(), cat.probed(), cat.thumbnails(), cat.detections()), *(dog.upload(), dog.probed()), *owl.done()]
    )
    store.append([spending_stopped(day=day)])
    uploads = [on_its_way(life) for life in (cat, dog, owl)]
    follow(store.engine, uploads, timeout_seconds=1)
    assert [(each.state, each.code) for each in uploads] == [("failed", "over_budget"), ("failed", "timeout"), ("done", None)]
    assert uploads[0].message == WAITS.format(day)


def test_a_step_that_ends_is_progress(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload()])
    told = [cat.probed(), cat.thumbnails(), cat.analysis(), cat.embedding(), cat.detections()]
    upload = on_its_way(cat)

    def tell(finished: int) -> None:
        if told:
            time.sleep(0.3)
            store.append([told.pop(0)])

    began = time.monotonic()
    follow(store.engine, [upload], timeout_seconds=2, on_progress=tell)
    assert time.monotonic() - began > 2
    assert upload.state == "done"


def test_only_todays_stop_with_nothing_under_way_counts(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.detections(), spending_stopped(day=date(2026, 7, 2))])
    with store.engine.begin() as db:
        stop = waiting_for_money(db, [cat.item_id], date(2026, 7, 2))[cat.item_id]
        assert (stop.user_id, stop.step) == ("ada", "analyze")
        assert waiting_for_money(db, [Life("uploads/ada/other.jpg").item_id], date(2026, 7, 2)) == {}
        assert waiting_for_money(db, [cat.item_id], date(2026, 7, 3)) == {}
    store.append([spending_resumed(1)])
    with store.engine.begin() as db:
        assert waiting_for_money(db, [cat.item_id], date(2026, 7, 2)) == {}


def test_show_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database.application_url)
    caches = (connection.settings, connection.store)
    for cache in caches:
        cache.cache_clear()
    day = today() + timedelta(days=1)
    cat = Life()
    database.store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.detections()])

    def show(*options: str) -> str:
        return CliRunner().invoke(app, ["show", cat.key, *options], catch_exceptions=False).stdout

    try:
        assert json.loads(show("--json"))["spent_budget"] is None
        assert "waits for money" not in show()
        database.store.append([spending_stopped(day=day)])
        assert json.loads(show("--json"))["spent_budget"] == {
            "user_id": "ada",
            "day": day.isoformat(),
            "limit_micro_dollars": 1000,
            "spent_micro_dollars": 998,
        }
        assert WAITS.format(day) in show()
    finally:
        connection.store().engine.dispose()
        for cache in caches:
            cache.cache_clear()
