"""Which system a command talks to: the one that the environment names, otherwise the running one-machine stack."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from media_assets.cli.output import CommandError, err
from media_assets.eventlog.store import EventStore
from media_assets.local.budgets import Budgets
from media_assets.local.stack import Stack
from media_assets.settings import Settings, get_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def not_running(settings: Settings) -> str:
    """Which parts of the one-machine stack are missing, as a sentence for a person."""
    parts = Stack(settings).parts()
    dead = [name for name, runs in parts.items() if not runs]
    if len(dead) == len(parts):
        missing = "is not running; media-assets up starts it"
    else:
        missing = f"does not run as a whole: {' and '.join(dead)} ended; media-assets up starts what is missing"
    return f"the stack in {settings.state_dir} {missing} (MEDIA_STATE_DIR names another folder)"


@cache
def settings(*, whole: bool = True) -> Settings:
    """Settings of the system to talk to. Raises CommandError if there is none, or if a part of the one-machine stack is
    missing: any part, or the database where it needn't be `whole`."""
    if "DATABASE_URL" not in os.environ:
        stack = Stack(get_settings())
        environment = stack.running_environment()
        if environment is None:
            missing = not_running(get_settings())
            environment = None if whole else stack.environment_of_what_runs()
            if environment is None:
                raise CommandError(missing)
            err.print(missing, style="yellow")
        for variable in Budgets.variables():  # of this shell, which needn't be the stack's
            os.environ.pop(variable, None)
        os.environ.update(environment)
        get_settings.cache_clear()
    return get_settings()


@cache
def store() -> EventStore:
    return EventStore.connect(settings().database_url)


@cache
def s3() -> S3Client:
    settings()
    return boto3.client("s3")


@cache
def sqs() -> SQSClient:
    settings()
    return boto3.client("sqs", config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2}))
