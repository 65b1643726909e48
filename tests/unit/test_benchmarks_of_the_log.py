"""What the benchmarks of the event log append, fill and fold is what they say it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.append import EVENTS, Load
from benchmarks.lives import lives, uploads
from benchmarks.many_events import fill
from benchmarks.replay import _run
from benchmarks.server import MEDIA, Server, server
from benchmarks.writers import OURS, write_events, writers
from media_assets.eventlog.replay import verify_replay


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server() as started:
        yield started


def test_writers_append_their_files_side_by_side(postgres: Server, tmp_path: Path) -> None:
    postgres.create("appended", MEDIA)
    paths = [tmp_path / "a", tmp_path / "b"]
    write_events(lives(0, 50, batch=5), paths[0])
    write_events(uploads(10, 7), paths[1])
    with writers(OURS, 3) as three:
        assert three.seconds(paths, 20, url=postgres.application_url("appended")) > 0
        assert three.seconds(paths[:1], 20, url=postgres.application_url("appended")) > 0  # known by now: changes nothing
    assert postgres.run("appended", "SELECT state, count(*) FROM items GROUP BY state ORDER BY state") == [
        ("processing", 10),
        ("received", 7),
    ]
    assert postgres.run("appended", "SELECT max(position) FROM events") == [(57,)]


def test_a_writer_that_fails_is_noticed(postgres: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no event\n")
    with writers(OURS, 1) as one, pytest.raises(RuntimeError, match="a writer said '' instead of 'ready'"):
        one.seconds([tmp_path / "a"], 1, url=postgres.application_url(MEDIA))


def test_rounds_and_writers_have_items_of_their_own(tmp_path: Path) -> None:
    load = Load("uploads", 8, 1)
    told = [path.read_text() for number in (0, 1) for path in load.files(tmp_path, number)]
    lines = [line for text in told for line in text.splitlines()]
    assert len(set(lines)) == len(lines) == 2 * EVENTS[1]


def test_a_filled_log_is_one_that_was_lived(postgres: Server) -> None:
    postgres.create("filled", MEDIA)
    fill(postgres, "filled", 1_000)
    assert postgres.run("filled", "SELECT state, count(*) FROM items GROUP BY state") == [("processing", 200)]
    assert postgres.run("filled", "SELECT count(*), max(position) FROM told") == [(1_000, 1_000)]
    assert verify_replay(postgres.owner_url("filled")).identical


@pytest.mark.parametrize("what", ["fold", "read"])
def test_a_replaying_process_is_timed_and_its_memory_seen(postgres: Server, what: str) -> None:
    seconds, (own, _) = _run(what, postgres, MEDIA)
    assert 0 < seconds < 60
    assert 10 < own < 1_000
