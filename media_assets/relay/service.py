"""The relay: publishes the log for as long as it is asked to, and survives outages of what it depends on.

One relay at a time, by a session lock in Postgres. Further ones wait for it to end, however it does. The lock and
everything else are of one connection: a relay that loses it stores nothing any more, and begins by asking for the lock again.
"""

from __future__ import annotations

import queue
from collections import Counter

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from media_assets.eventlog.outbox import Lag, Outbox
from media_assets.relay.event_bridge import BusUnavailableError, EventBridge, Put
from media_assets.relay.lag_metric import LagMetric
from media_assets.relay.outage import Outage, Say
from media_assets.relay.publisher import Publisher
from media_assets.settings import Settings

_CONNECTION = {
    # A network that swallows packets is noticed within a minute, here and at the server, which then frees the lock.
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class RelayBusyError(RuntimeError):
    """Another relay publishes this log."""


class Stop:
    """A request to end, from a signal handler or another thread."""

    def __init__(self) -> None:
        self.requested = False
        self._asked: queue.SimpleQueue[None] = queue.SimpleQueue()  # unlike an Event, safe in a signal handler

    def request(self, *_: object) -> None:
        """Takes what a signal handler gets."""
        self.requested = True
        self._asked.put(None)

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond a request."""
        if not self.requested:
            try:
                self._asked.get(timeout=seconds)
            except queue.Empty:
                return


class Relay:
    """`published` counts what this process sent, by detail type. `say` gets a line for a person when something changes."""

    def __init__(self, settings: Settings, put: Put, metric: LagMetric, say: Say) -> None:
        self.published: Counter[str] = Counter()
        self._settings = settings
        self._put = put
        self._metric = metric
        self._say = say
        self._engine = create_engine(
            settings.relay_database_url, poolclass=NullPool, hide_parameters=True, connect_args=_CONNECTION
        )

    @classmethod
    def connect(cls, settings: Settings, say: Say) -> Relay:
        """To the bus and the database of the settings. Raises SettingMissingError."""
        return cls(settings, EventBridge.connect(settings.event_bus).put, LagMetric.connect(settings.stage, say), say)

    def run(self, stop: Stop) -> None:
        """Publish until `stop`; a call under way is finished and stored. Nothing but that and a bug ends it."""
        database = self._outage("the database")
        while not stop.requested:
            try:
                with self._engine.connect() as connection:
                    outbox = self._outbox(connection)
                    if self._gets_its_turn(outbox, stop):
                        database.over()
                        self._publish(connection, outbox, stop)
            except (OperationalError, InterfaceError) as error:
                stop.wait(database.failed(" ".join(str(error.orig).split())))

    def run_once(self, stop: Stop) -> Lag:
        """Publish what there is, and what is due again of what was refused. Returns what is left, normally nothing.

        Raises RelayBusyError, BusUnavailableError, and OperationalError.
        """
        with self._engine.connect() as connection:
            outbox = self._outbox(connection)
            if not outbox.lock():
                raise RelayBusyError("another relay publishes this log already")
            publisher = self._publisher(outbox)
            try:
                while not stop.requested and publisher.cycle(lambda: not stop.requested):
                    pass
            finally:
                left = self._metric.tell(connection)
            return left

    def _publish(self, connection: Connection, outbox: Outbox, stop: Stop) -> None:
        self._say(f"publishing on {self._settings.event_bus}")
        publisher, bus = self._publisher(outbox), self._outage("the bus")
        while not stop.requested:
            if not self._metric.due_in:
                self._metric.tell(connection)
            try:
                wait = 0.0 if publisher.cycle(lambda: not stop.requested) else self._settings.relay_poll_seconds
            except BusUnavailableError as error:
                wait = bus.failed(str(error))
            else:
                bus.over()
            if wait:
                stop.wait(min(wait, self._metric.due_in))

    def _gets_its_turn(self, outbox: Outbox, stop: Stop) -> bool:
        """Whether it is this relay's turn before `stop`."""
        if not outbox.lock():
            self._say("another relay is publishing; waiting for it to end")
            while not stop.requested and not outbox.lock():
                stop.wait(self._settings.relay_poll_seconds)
        return not stop.requested

    def _outbox(self, connection: Connection) -> Outbox:
        return Outbox(
            connection,
            retry_base_seconds=self._settings.retry_base_seconds,
            retry_max_seconds=self._settings.retry_max_seconds,
        )

    def _publisher(self, outbox: Outbox) -> Publisher:
        return Publisher(outbox, self._put, self._say, self.published)

    def _outage(self, name: str) -> Outage:
        return Outage(
            name,
            self._say,
            base_seconds=self._settings.relay_poll_seconds,
            max_seconds=self._settings.retry_max_seconds,
        )
