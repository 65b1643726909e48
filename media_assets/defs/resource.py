"""What the Dagster layer works with: settings, the event store, and clients of AWS."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from dagster import AssetExecutionContext, ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from media_assets.dispatch.drain import Invoke
from media_assets.dispatch.lambda_pipes import LambdaBatchClient
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings, get_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})


class MediaResource(ConfigurableResource["MediaResource"]):
    """One per run or tick; connections are opened when first used and closed at its end."""

    _store: EventStore | None = PrivateAttr(default=None)

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

    def invoker(self, context: AssetExecutionContext, step: str) -> Invoke:
        """How a run of this asset sends batches of a step to its Lambda function."""
        client = LambdaBatchClient.connect(
            read_timeout_seconds=self.settings.invoke_timeout_seconds, connections=self.settings.dispatch_threads
        )
        function_name = self.settings.function_name(step)
        return lambda request: client.run(context, function_name, request)
