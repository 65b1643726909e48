"""What the Dagster layer works with: settings, the event store, and clients of AWS."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from dagster import AssetExecutionContext, ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from media_assets.dispatch.ecs_pipes import EcsTarget
from media_assets.dispatch.lambda_pipes import LambdaTarget
from media_assets.dispatch.targets import Target
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings, get_settings
from media_assets.steps.step import Step, TargetName

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONNECTION_SECONDS = 60
"""How long a run keeps a connection of Dagster's storage, so that none is there that something on the way has given up."""
_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})


class MediaResource(ConfigurableResource["MediaResource"]):
    """One per run or tick; connections are opened when first used and closed at its end."""

    _store: EventStore | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Have a run keep connections of Dagster's storage, as its webserver does: each event would open one of its own.

        Not for a tick, whose instance is the code server's. Storages that aren't Postgres have nothing to keep.
        """
        if context.run is not None and context.instance is not None:
            context.instance.optimize_for_webserver(
                statement_timeout=0,  # none
                pool_recycle=_CONNECTION_SECONDS,
                max_overflow=20,
            )

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        if self._store is not None:
            self._store.engine.dispose()
            self._store = None

    @property
    def settings(self) -> Settings:
        return get_settings()

    @property
    def store(self) -> EventStore:
        if self._store is None:
            self._store = EventStore.connect(self.settings.database_url)
        return self._store

    @cached_property
    def s3(self) -> S3Client:
        return boto3.client("s3", config=_CONFIG)

    @cached_property
    def sqs(self) -> SQSClient:
        return boto3.client("sqs", config=_CONFIG)

    def targets(self, context: AssetExecutionContext, step: Step) -> dict[TargetName, Target]:
        """Where a run of this asset sends batches of the step: its Lambda function, its ECS tasks."""
        connect: dict[TargetName, Callable[[AssetExecutionContext, Settings, Step], Target]] = {
            "lambda": LambdaTarget.connect,
            "ecs": EcsTarget.connect,
        }
        return {name: connect[name](context, self.settings, step) for name in step.targets}
