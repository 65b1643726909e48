"""The media bucket, and the queue that hears of every upload to it."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.stages import Stage

UPLOADS_PREFIX = "uploads/"
PREVIEWS_PREFIX = "previews/"
DISPATCH_PREFIX = "dispatch/"


class Storage(Construct):
    """`bucket`, `upload_queue` and `dead_letter_queue`."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:
        super().__init__(scope, id)
        bucket_name = f"media-assets-{stage.name}-{Aws.ACCOUNT_ID}"
        self.dead_letter_queue = sqs.Queue(
            self,
            "UploadDeadLetterQueue",
            queue_name=f"media-assets-{stage.name}-uploads-dead-letters",
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.upload_queue = sqs.Queue(
            self,
            "UploadQueue",
            queue_name=f"media-assets-{stage.name}-uploads",
            retention_period=Duration.days(14),  # the longest there is: a paused sensor loses nothing for two weeks
            visibility_timeout=Duration.seconds(120),  # a sensor tick dies at 60 s
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letter_queue, max_receive_count=5),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        # The ARN spelled out, because the policy comes before the bucket: S3 checks at once that it may send.
        self.upload_queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.upload_queue.queue_arn],
                conditions={
                    "ArnEquals": {"aws:SourceArn": f"arn:{Aws.PARTITION}:s3:::{bucket_name}"},
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                },
            )
        )
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=bucket_name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="previews-expire",
                    prefix=PREVIEWS_PREFIX,
                    expiration=Duration.days(30),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                # Events and answers of batches; dispatch deletes those that it lives to see settled.
                s3.LifecycleRule(
                    id="dispatches-expire",
                    prefix=DISPATCH_PREFIX,
                    expiration=Duration.days(1),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                s3.LifecycleRule(id="abandoned-multipart-uploads", abort_incomplete_multipart_upload_after=Duration.days(7)),
            ],
            # Outlives the stack; only a create that fails takes its (empty) bucket along, so that it can be repeated.
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self._notify_of_uploads()

    def _notify_of_uploads(self) -> None:
        """The bucket's own property instead of CDK's custom resource, whose function may reconfigure every bucket."""
        bucket = self.bucket.node.default_child
        assert isinstance(bucket, s3.CfnBucket)
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event="s3:ObjectCreated:*",
                    queue=self.upload_queue.queue_arn,
                    filter=s3.CfnBucket.NotificationFilterProperty(
                        s3_key=s3.CfnBucket.S3KeyFilterProperty(
                            rules=[s3.CfnBucket.FilterRuleProperty(name="prefix", value=UPLOADS_PREFIX)]
                        )
                    ),
                )
            ]
        )
        bucket.node.add_dependency(self.upload_queue.node.find_child("Policy"))
