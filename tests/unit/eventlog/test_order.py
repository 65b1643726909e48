"""Guarantee 4: position order is commit order, without gaps. Who reads `since(cursor)` misses nothing."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Signal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.contract.eventlog.chained import assert_chained
from tests.unit.eventlog.appender import Appender, batch
from tests.unit.eventlog.lives import Life

WRITERS, APPENDS = 6, 40


def test_a_reader_that_polls_while_many_write_misses_nothing(store: EventStore) -> None:
    """Transactions of different length, some of which give up: exactly what makes a sequence show 7 before 6."""
    written = Signal()

    def write(writer: int) -> list[int]:
        luck = random.Random(writer)
        positions: list[int] = []
        for number in range(APPENDS):
            with store.engine.connect() as connection, connection.begin() as transaction:
                events = [Life(f"uploads/ada/{writer}-{number}-{n}").upload() for n in range(luck.randint(1, 4))]
                appended = store.append(events, connection)
                time.sleep(luck.choice([0, 0, 0.001, 0.004]))
                if luck.random() < 0.15:
                    transaction.rollback()
                    continue
            positions.extend(position for position, _ in appended)
        return positions

    def read() -> list[int]:
        seen: list[int] = []
        while True:
            last_look = written.is_set()
            found = [event.position for event in store.since(seen[-1] if seen else 0, limit=50)]
            seen.extend(found)
            if last_look and not found:
                return seen

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(read)
        try:
            positions = [position for written_by_one in pool.map(write, range(WRITERS)) for position in written_by_one]
        finally:
            written.set()
        seen = reader.result()

    assert len(positions) > WRITERS * APPENDS
    assert seen == sorted(positions) == list(range(1, len(positions) + 1))


def test_an_append_waits_for_the_one_that_got_the_position_before(store: EventStore) -> None:
    """The race above by hand: the second appender must not become visible while the first one hasn't committed."""
    with ThreadPoolExecutor(1) as pool:
        with store.engine.connect() as first, first.begin():
            assert store.append([Life("first").upload()], first)[0].position == 1
            second = pool.submit(store.append, [Life("second").upload()])
            time.sleep(0.1)
            assert not second.done()
            assert store.since(0) == []
        assert second.result()[0].position == 2
    assert [event.item_id for event in store.since(0)] == [Life("first").item_id, Life("second").item_id]


def test_without_the_lock_the_same_reader_would_miss_an_event(database: Database) -> None:
    """What a log on a sequence does, so that nobody takes the lock for an ornament: 1 becomes visible after 2 was read."""
    engine = create_engine(database.owner_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE naive (position bigserial PRIMARY KEY)"))

    def since(cursor: int) -> list[int]:
        with engine.connect() as reader:
            found = reader.execute(text("SELECT position FROM naive WHERE position > :p ORDER BY 1"), {"p": cursor})
            return list(found.scalars())

    with engine.connect() as first:
        first.execute(text("INSERT INTO naive DEFAULT VALUES"))
        with engine.begin() as second:
            second.execute(text("INSERT INTO naive DEFAULT VALUES"))
        seen = since(0)
        first.commit()
    assert seen == [2]
    assert seen + since(seen[-1]) == [2]
    engine.dispose()


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_append_under_a_frozen_snapshot_is_refused(store: EventStore, isolation: str) -> None:
    """It would not see what was appended while it waited for the lock."""
    with (
        store.engine.connect().execution_options(isolation_level=isolation) as connection,
        pytest.raises(DBAPIError, match="append needs READ COMMITTED, not"),
    ):
        store.append([Life().upload()], connection)
    assert store.head() == 0


def test_an_append_is_one_round_trip(store: EventStore) -> None:
    """Whatever is done under the lock is waited for by everybody: no statement may travel while it is held."""
    statements: list[str] = []
    listen(store.engine, "before_cursor_execute", lambda conn, cursor, statement, *_: statements.append(statement))
    store.append([Life(f"uploads/ada/{number}").upload().model_copy(update={"expected_version": 0}) for number in range(20)])
    assert len(statements) == 1


def test_the_whole_log_is_read_by_cursor(store: EventStore) -> None:
    store.append([event for number in range(5) for event in Life(f"uploads/ada/{number}").done()])
    assert [event.position for event in store.all(batch_size=4)] == list(range(1, 31))
    assert [event.position for event in store.since(20, limit=3)] == [21, 22, 23]
    assert store.since(30) == []


KILLS = 50


def test_fifty_sigkills_in_mid_append_lose_double_and_disorder_nothing(database: Database) -> None:
    """Five processes append beside each other and die at random moments. Their successors repeat the batch in doubt."""
    appenders = [Appender(database.application_url, f"w{number}") for number in range(5)]
    for appender in appenders:
        appender.start()
    for number in range(KILLS):
        appender = appenders[number % len(appenders)]
        appender.wait_for_an_append()
        time.sleep(random.uniform(0, 0.05))
        appender.kill()
        if number < KILLS - len(appenders):
            appender.start()
    assert sum(appender.kills_in_append for appender in appenders) > KILLS // 2

    log = list(database.store.all())
    ids = [event.event_id for event in log]
    lost = doubled = disordered = torn = 0
    for appender in appenders:
        batches = [[event.event_id for event in batch(appender.worker, n)] for n in range(appender.acknowledged + 1)]
        of_worker = {event_id for told in batches for event_id in told}
        acknowledged = [event_id for told in batches[:-1] for event_id in told]
        found = [event_id for event_id in ids if event_id in of_worker]
        lost += len(set(acknowledged) - set(found))
        doubled += len(found) - len(set(found))
        disordered += found[: len(acknowledged)] != acknowledged
        torn += found[len(acknowledged) :] not in ([], batches[-1])
    assert (lost, doubled, disordered, torn) == (0, 0, 0, 0)
    assert len(log) >= KILLS * len(batch("w0", 0))
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    assert_chained(log)
    assert verify_replay(database.owner_url).identical
