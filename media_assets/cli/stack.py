"""Commands about the one-machine stack: up, down, env."""

from __future__ import annotations

import shlex

from media_assets.cli.output import CommandError, Json, err, out, print_json, print_table
from media_assets.local.stack import Stack
from media_assets.settings import get_settings


def up(as_json: Json = False) -> None:
    """Start the one-machine stack: Postgres, the AWS emulator, Dagster. What runs already is kept.

    Example: media-assets up && eval "$(media-assets env)"
    """
    stack = Stack(get_settings())
    with err.status("starting") as status:

        def progress(message: str) -> None:
            status.update(message)
            err.print(f"[dim]{message}[/dim]")

        stack.up(progress)
    environment = stack.running_environment() or {}
    if as_json:
        print_json(environment)
    else:
        print_table("the stack is up", ("", ""), addresses(environment))


def addresses(environment: dict[str, str]) -> list[tuple[str, str]]:
    """What a person opens or connects to."""
    return [
        ("Dagster UI", environment["DAGSTER_URL"]),
        ("bucket", f"s3://{environment['MEDIA_BUCKET']} at {environment['AWS_ENDPOINT_URL']}"),
        ("database", environment["DATABASE_URL"]),
        ("shell", 'eval "$(media-assets env)"'),
    ]


def down() -> None:
    """Stop every process of the stack. Its data stays in the state folder.

    Example: media-assets down
    """
    with err.status("stopping"):
        Stack(get_settings()).down()
    out.print("the stack is down")


def env(as_json: Json = False) -> None:
    """Print the exports with which aws, psql and dagster talk to the running stack.

    Example: eval "$(media-assets env)"; aws s3 cp photo.jpg s3://$MEDIA_BUCKET/uploads/me/
    """
    environment = Stack(get_settings()).running_environment()
    if environment is None:
        raise CommandError("the stack is not running; start it with: media-assets up")
    # For `dagster asset materialize …` in any folder. The stack's own Dagster processes name their code in other ways.
    environment = {**environment, "DAGSTER_MODULE_NAME": "media_assets.definitions"}
    if as_json:
        print_json(environment)
        return
    for name, value in sorted(environment.items()):
        out.print(f"export {name}={shlex.quote(value)}", markup=False)
