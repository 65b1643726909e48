"""The relay goes on through outages of Postgres, EventBridge and CloudWatch, says so once, and ends cleanly when asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import boto3
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, make_url

from media_assets.eventlog.outbox import outbox_lag, relay_is_at_work
from media_assets.eventlog.store import EventStore
from media_assets.local.ports import free_port
from media_assets.local.postgres import EmbeddedPostgres
from media_assets.relay.event_bridge import BusUnavailableError
from media_assets.relay.lag_metric import LagMetric
from media_assets.relay.outage import Outage
from media_assets.relay.service import Relay, RelayBusyError, Stop
from media_assets.settings import Settings
from tests import waiting
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.lives import Life
from tests.unit.relay.bus import Bus, Mishap

POLL_SECONDS = 0.02
UNREACHABLE = Mishap(before=True)


@dataclass
class Running:
    """A relay in a thread, and what it said."""

    relay: Relay
    said: list[str]
    stop: Stop = field(default_factory=Stop)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.relay.run, args=[self.stop], daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop.request()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def settings(relay_url: str) -> Settings:
    return Settings(
        relay_database=SecretStr(relay_url), event_bus_name="bus", relay_poll_seconds=POLL_SECONDS, retry_max_seconds=0.1
    )


Start = Callable[..., Running]


@pytest.fixture
def start(settings: Settings, aws: str) -> Iterator[Start]:
    relays: list[Running] = []

    def start(bus: Bus, metric: LagMetric | None = None) -> Running:
        said: list[str] = []
        metric = metric or LagMetric.connect("test", said.append)
        relays.append(Running(Relay(settings, bus.put, metric, said.append), said))
        return relays[-1]

    yield start
    for relay in relays:
        relay.end()


eventually = partial(waiting.eventually, seconds=10)


def has_taken(bus: Bus, number: int) -> bool:
    return len(bus.taken) == number


def positions(bus: Bus) -> list[int]:
    return [entry.position for entry in bus.taken]


def test_it_publishes_what_comes_and_ends_when_asked_to(store: EventStore, start: Start) -> None:
    bus = Bus()
    running = start(bus)
    for position in (1, 2, 3):
        store.append([Life(f"{position}").thumbnails()])
        eventually(partial(has_taken, bus, position))
    running.end()
    assert positions(bus) == [1, 2, 3]
    assert running.relay.published == {"ImageProcessed": 3}
    assert running.said == ["publishing on bus"]


def test_an_outage_of_the_bus_is_said_once_and_moves_nothing(store: EventStore, start: Start, reader: Connection) -> None:
    store.append([Life("a").thumbnails(), Life("b").thumbnails()])
    bus = Bus([UNREACHABLE] * 4)
    running = start(bus)
    eventually(lambda: bus.taken)
    running.end()
    assert bus.calls == [[1, 2]] * 5
    assert outbox_lag(reader).events == 0
    assert running.said[1:] == [
        "the bus can't be used (unreachable); trying again until it can",
        "the bus can be used again, after 4 failed attempts",
    ]


def test_a_relay_that_loses_its_connection_comes_back(database: Database, start: Start) -> None:
    bus = Bus()
    running = start(bus)
    database.store.append([Life("a").thumbnails()])
    eventually(lambda: bus.taken)
    terminated = as_owner(
        database, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7236458"
    )
    assert terminated == 1
    eventually(lambda: len(running.said) == 4)
    database.store.append([Life("b").thumbnails()])
    eventually(lambda: len(bus.taken) == 2)
    assert running.said[1].startswith("the database can't be used (")
    assert running.said[2:] == ["the database can be used again, after 1 failed attempts", "publishing on bus"]


def test_a_database_that_is_not_there_is_waited_for(database: Database, postgres: EmbeddedPostgres, start: Start) -> None:
    name = make_url(database.owner_url).database
    database.store.engine.dispose()
    bus = Bus()
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} RENAME TO {name}_hidden")
        running = start(bus)
        eventually(lambda: running.said)
        server.execute(f"ALTER DATABASE {name}_hidden RENAME TO {name}")
    database.store.append([Life("a").thumbnails()])
    eventually(lambda: bus.taken)
    assert "does not exist); trying again until it can" in running.said[0]
    assert "\n" not in running.said[0]


def test_a_second_relay_waits_and_takes_over(store: EventStore, start: Start) -> None:
    first_bus, second_bus = Bus(), Bus()
    first = start(first_bus)
    eventually(lambda: first.said)
    second = start(second_bus)
    eventually(lambda: second.said == ["another relay is publishing; waiting for it to end"])
    store.append([Life("a").thumbnails()])
    eventually(lambda: first_bus.taken)
    first.end()
    store.append([Life("b").thumbnails()])
    eventually(lambda: second_bus.taken)
    assert (positions(first_bus), positions(second_bus)) == ([1], [2])


def test_once_publishes_what_there_is_and_says_what_is_left(store: EventStore, settings: Settings, aws: str) -> None:
    bus = Bus([Mishap(refused=[1])])
    store.append([Life("a").thumbnails(), Life("b").thumbnails(), Life("b").analysis()])
    relay = Relay(settings, bus.put, LagMetric.connect("once", print), print)
    left = relay.run_once(Stop())
    assert (left.events, left.held) == (2, 2)
    assert relay.published == {"ImageProcessed": 1}


def test_once_fails_beside_another_relay_and_in_an_outage(
    store: EventStore, settings: Settings, start: Start, reader: Connection
) -> None:
    metric = LagMetric.connect("once", print)
    store.append([Life("a").thumbnails()])
    with pytest.raises(BusUnavailableError):
        Relay(settings, Bus([UNREACHABLE]).put, metric, print).run_once(Stop())
    start(Bus())
    eventually(lambda: relay_is_at_work(reader))
    with pytest.raises(RelayBusyError):
        Relay(settings, Bus().put, metric, print).run_once(Stop())


def lag_told(stage: str) -> list[float]:
    [result] = boto3.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "lag",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "media-assets",
                        "MetricName": "OutboxLagSeconds",
                        "Dimensions": [{"Name": "Stage", "Value": stage}],
                    },
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
        ],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
    )["MetricDataResults"]
    return result["Values"]


def test_the_lag_is_told_also_when_there_is_none(start: Start) -> None:
    start(Bus(), LagMetric.connect("idle", print))
    eventually(lambda: lag_told("idle") == [0])


def test_the_lag_is_told_in_an_outage_too(database: Database, start: Start) -> None:
    database.store.append([Life("a").thumbnails()])
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    as_owner(database, "UPDATE events SET recorded_at = recorded_at - interval '1 hour'")
    metric = LagMetric.connect("lagging", print)
    start(Bus([UNREACHABLE] * 1000), metric)
    eventually(lambda: lag_told("lagging"))
    assert 3600 <= lag_told("lagging")[0] < 3700


def test_publishing_goes_on_without_cloudwatch(store: EventStore, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("media_assets.relay.lag_metric.INTERVAL_SECONDS", 0.05)
    said: list[str] = []
    bus = Bus()
    start(bus, LagMetric.connect("test", said.append))
    eventually(lambda: said)
    for position in (1, 2, 3):
        store.append([Life(f"{position}").thumbnails()])
        eventually(partial(has_taken, bus, position))
        time.sleep(0.1)  # it has failed a few times more
    [once] = said
    assert once.startswith("CloudWatch can't be used (Could not connect")


def test_waits_in_an_outage_grow_and_differ() -> None:
    outage = Outage("it", lambda message: None, base_seconds=1, max_seconds=60)
    waits = [outage.failed("no") for _ in range(40)]
    for wait, most in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60], strict=False):
        assert most / 2 <= wait <= most
    assert len(set(waits[6:])) > 30
    outage.over()
    assert outage.failed("no") <= 1


def test_a_request_to_stop_ends_a_sleep_and_those_after_it() -> None:
    stop = Stop()
    threading.Timer(0.05, stop.request).start()
    began = time.monotonic()
    stop.wait(30)
    stop.wait(30)
    stop.wait(30)
    assert time.monotonic() - began < 10
