"""All commands, and how errors are told: a line on standard error."""

from __future__ import annotations

import logging
import sys

import typer
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.text import Text
from sqlalchemy.exc import OperationalError

from media_assets.cli import costs, demo, erase, items, jobs, relay, reprocess, segment, show, stack, stale, verify, work
from media_assets.cli.output import CommandError, err, plain
from media_assets.cli.setting_errors import setting_error_text
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.jobs import JobNotFoundError
from media_assets.eventlog.rebuild import RebuildError
from media_assets.local.stack import StackBusyError
from media_assets.settings import SettingMissingError
from media_assets.steps.jobs import JobRefusedError
from media_assets.steps.segment_plan import PlanError

app = typer.Typer(
    help="Photos and videos dropped into S3 come out as thumbnails, analyses and embeddings, frames and segments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    stack.up, stack.down, work.status, items.upload, items.search, show.show, items.events, segment.segment, jobs.jobs,
    jobs.job, jobs.cancel, stale.stale, reprocess.reprocess, costs.costs, verify.verify, verify.replay, verify.rebuild,
    erase.erase, relay.relay, stack.env, demo.demo,
):  # fmt: skip
    app.command()(command)

_TOLD = (
    CommandError, ItemNotFoundError, JobNotFoundError, JobRefusedError, PlanError, SettingMissingError, TargetUnavailableError,
    StackBusyError, RebuildError,
)  # fmt: skip


def run() -> None:
    """What the process's arguments say. Expected errors are one line on stderr and exit status 1; Ctrl-C is 130."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except _TOLD as error:
        _fail(str(error))
    except OperationalError as error:
        _fail(f"the database doesn't answer ({type(error.orig).__name__}); is the stack up? media-assets up")
    except (BotoCoreError, ClientError) as error:
        _fail(f"AWS doesn't answer as it should: {error}; is the stack up? media-assets up")
    except (ValidationError, SettingsError) as error:
        _fail(setting_error_text(error))


def _fail(message: str) -> None:
    err.print(Text.assemble(("error: ", "red"), plain(message)), soft_wrap=True)
    sys.exit(1)
