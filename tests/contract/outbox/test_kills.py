"""The relay is killed fifty times while somebody writes: nothing is lost, nothing is turned around within a stream."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict

import psutil
from sqlalchemy import text

from media_assets.eventlog.store import EventStore
from media_assets.relay.service import Stop
from media_assets.settings import Settings
from tests.contract.outbox.conftest import Consumer, Zygote, eventually, relay
from tests.unit.eventlog.lives import Life, rows

KILLS = 50
STREAMS = 5
AHEAD = 100
"""How many events the writer keeps between itself and the relay, which so is always at work."""


def write(store: EventStore, stop: threading.Event) -> None:
    lives, generation = [Life(f"{number}.jpg") for number in range(STREAMS)], 0
    while not stop.is_set():
        generation += 1
        store.append([life.thumbnails(generation=generation) for life in lives])
        while store.head() - cursor(store) > AHEAD and not stop.is_set():
            time.sleep(0.005)


def cursor(store: EventStore) -> int:
    with store.engine.connect() as connection:
        return connection.execute(text("SELECT coalesce(max(position), 0) FROM subscribers")).scalar_one()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid):
        time.sleep(0.002)


def test_fifty_kills_lose_nothing(store: EventStore, zygote: Zygote, settings: Settings, consumer: Consumer) -> None:
    chance, written = random.Random(50), threading.Event()
    writer = threading.Thread(target=write, args=[store, written])
    writer.start()
    try:
        for number in range(KILLS):
            before = cursor(store)
            pid = zygote.start()
            if number % 2:  # every other one in mid-work, the rest at any moment from its start on
                eventually(lambda: cursor(store) > before)  # noqa: B023
            time.sleep(chance.uniform(0, 0.1))
            kill(pid)
    finally:
        written.set()
        writer.join()
    last = relay(settings, consumer.events, consumer)
    assert last.run_once(Stop()).events == 0

    messages = [message["detail"] for message in consumer.messages()]
    positions: dict[str, list[int]] = defaultdict(list)
    for message in {message["event_id"]: message for message in messages}.values():
        positions[message["item_id"]].append(message["stream_version"])
    lost = {str(row["event_id"]) for row in rows(store, "SELECT event_id FROM events")} - {m["event_id"] for m in messages}
    again = Counter(message["event_id"] for message in messages)
    print(f"{len(messages)} messages of {len(again)} events")
    assert lost == set()
    assert all(versions == sorted(versions) for versions in positions.values())
    assert len(again) < len(messages) < len(again) + KILLS * STREAMS  # what was in flight came again, and no more
