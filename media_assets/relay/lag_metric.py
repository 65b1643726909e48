"""How late the relay is, as a CloudWatch metric: also when there is nothing to publish, so that silence means a dead relay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection

from media_assets.eventlog.outbox import Lag, outbox_lag
from media_assets.relay.outage import Outage, Say

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

NAMESPACE = "media-assets"
NAME = "OutboxLagSeconds"
INTERVAL_SECONDS = 60.0
_CONFIG = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 1})
"""Publishing waits for it meanwhile."""


class LagMetric:
    """The age in seconds of the oldest event that is still to be published, by stage."""

    def __init__(self, client: CloudWatchClient, stage: str, say: Say) -> None:
        self._client = client
        self._stage = stage
        self._outage = Outage("CloudWatch", say, base_seconds=INTERVAL_SECONDS, max_seconds=INTERVAL_SECONDS)
        self._due_at = time.monotonic()

    @classmethod
    def connect(cls, stage: str, say: Say) -> LagMetric:
        return cls(boto3.client("cloudwatch", config=_CONFIG), stage, say)

    @property
    def due_in(self) -> float:
        """Seconds until it has to be told again."""
        return max(0.0, self._due_at - time.monotonic())

    def tell(self, connection: Connection) -> Lag:
        """Measure and put it. If CloudWatch doesn't take it, that is said once and changes nothing."""
        self._due_at = time.monotonic() + INTERVAL_SECONDS
        with connection.begin():
            lag = outbox_lag(connection)
        try:
            self._client.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {
                        "MetricName": NAME,
                        "Dimensions": [{"Name": "Stage", "Value": self._stage}],
                        "Value": lag.seconds,
                        "Unit": "Seconds",
                    }
                ],
            )
        except (BotoCoreError, ClientError) as error:
            self._outage.failed(str(error))
        else:
            self._outage.over()
        return lag
