"""What the event log has in AWS: the bus it is published on, and the bucket that holds its anchors."""

from __future__ import annotations

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.stages import Stage


class EventLog(Construct):
    """`bus` and `anchors`."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(scope, id)
        self.bus = events.EventBus(
            self,
            "Bus",
            event_bus_name=f"media-assets-{stage.name}",
            description="What happened to media: one event, one fact of the log",
        )
        # A bucket of its own: Object Lock's default retention holds for every object, and uploads must stay erasable.
        self.anchors = s3.Bucket(
            self,
            "Anchors",
            bucket_name=f"media-assets-{stage.name}-anchors-{Aws.ACCOUNT_ID}",
            versioned=True,
            object_lock_enabled=True,
            object_lock_default_retention=stage.anchor_retention,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
