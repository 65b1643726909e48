"""The command that publishes the event log."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import Annotated

import typer

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, counted, err, plain, print_json, print_line
from media_assets.eventlog.outbox import Lag
from media_assets.relay.event_bridge import BusUnavailableError
from media_assets.relay.service import Relay, RelayBusyError, Stop
from media_assets.settings import Settings, get_settings


def relay(
    once: Annotated[bool, typer.Option("--once", help="Publish what there is, then end.")] = False,
    as_json: Json = False,
) -> None:
    """Publish the event log on EventBridge, until Ctrl-C or SIGTERM.

    The one-machine stack has one running. A second one waits until the first ends; with --once it fails.

    Example: media-assets relay --once
    """
    stop = Stop()
    relay = Relay.connect(_settings(), _say)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.request)
    left: Lag | None = None
    if once:
        try:
            left = relay.run_once(stop)
        except (RelayBusyError, BusUnavailableError) as error:
            raise CommandError(str(error)) from error
    else:
        relay.run(stop)
    if as_json:
        print_json({"published": dict(relay.published), "left": left.events if left else None})
    else:
        total = sum(relay.published.values())
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(relay.published.items()))
        print_line(f"published {counted(total, 'event')}" + (f": {kinds}" if kinds else ""))
        if left and left.events:
            print_line(f"{left.events} are left, {left.held} of them held: media-assets status", "yellow")


def _settings() -> Settings:
    """A relay knows its own role's database and no other."""
    settings = get_settings()
    return settings if settings.relay_database is not None else connection.settings()


def _say(message: str) -> None:
    err.print(plain(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {message}"), soft_wrap=True)
