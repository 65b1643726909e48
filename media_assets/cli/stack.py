"""Commands about the one-machine stack: up, down, env."""

from __future__ import annotations

import shlex
import sys

from media_assets.cli.connection import not_running
from media_assets.cli.costs import print_uncovered
from media_assets.cli.output import CommandError, Json, err, plain, print_json, print_line
from media_assets.local.budgets import Budgets
from media_assets.local.stack import Stack
from media_assets.settings import get_settings


def up(as_json: Json = False) -> None:
    """Start the one-machine stack: Postgres, the AWS emulator, the container engine, the relay, Dagster.

    What runs already is kept. Settings (MEDIA_…) are passed on, and other commands see them; give them to every later `up` too.

    Example: media-assets up && eval "$(media-assets env)"
    """
    settings = get_settings()
    stack = Stack(settings)
    with err.status("starting") as status:

        def progress(message: str) -> None:
            status.update(message)
            err.print(plain(message, "dim"))

        before = stack.up(progress).budgets_before
    if said := budget_change(before, Budgets.of(settings)):
        err.print(plain(said, "yellow" if before.text() else ""), soft_wrap=True)
    print_uncovered(settings, err)
    environment = stack.running_environment() or {}
    if as_json:
        print_json(environment)
    else:
        print_line("the stack is up")
        print_addresses(environment)


def budget_change(before: Budgets, now: Budgets) -> str:
    """Which budgets are in force, as a line for a person; empty if there are none and were none."""
    was = f" (it was {before.text()})" if before.text() and before.text() != now.text() else ""
    if now.text():
        return f"daily budget: {now.text()}{was}"
    return was and f"no daily budget any more{was}"


def print_addresses(environment: dict[str, str]) -> None:
    """What a person opens or connects to, a line each."""
    for name, address in (
        ("Dagster UI", environment["DAGSTER_URL"]),
        ("bucket", f"s3://{environment['MEDIA_BUCKET']} at {environment['AWS_ENDPOINT_URL']}"),
        ("database", environment["DATABASE_URL"]),
        ("shell", f'eval "$({sys.argv[0]} env)"'),
    ):
        print_line(f"  {name:<10}  {address}")


def down(as_json: Json = False) -> None:
    """Stop every process of the stack. Its data stays in the state folder.

    Example: media-assets down
    """
    with err.status("stopping"):
        Stack(get_settings()).down()
    if as_json:
        print_json({"running": False})
    else:
        print_line("the stack is down")


def env(as_json: Json = False) -> None:
    """Print the exports with which aws, psql and dagster talk to the running stack.

    Example: eval "$(media-assets env)"; aws s3 cp photo.jpg s3://$MEDIA_BUCKET/uploads/me/
    """
    environment = Stack(get_settings()).running_environment()
    if environment is None:
        raise CommandError(not_running(get_settings()))
    # For `dagster asset materialize …` in any folder. The stack's own Dagster processes name their code in other ways.
    environment = {**environment, "DAGSTER_MODULE_NAME": "media_assets.definitions"}
    if as_json:
        print_json(environment)
        return
    for name, value in sorted(environment.items()):
        print_line(f"export {name}={shlex.quote(value)}")
