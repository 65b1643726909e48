"""What differs between deployments; everything else is the same template."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_s3 import ObjectLockRetention
from constructs import Construct


@dataclass(frozen=True)
class Stage:
    name: str
    log_retention: RetentionDays
    logs_removal: RemovalPolicy
    reserved_concurrency: int | None
    """Invocations of one function at a time, taken out of the account's pool; None leaves the function in that pool."""
    alarms: bool
    anchor_retention: ObjectLockRetention
    """How long nobody deletes an anchor. It can be lengthened later for anchors that exist; COMPLIANCE is never shortened."""
    relay_service: bool
    """Whether the outbox relay is an ECS service; the one-machine stack runs it as a process."""
    task_image_given: bool
    """Whether the deployer names the image of tasks; the one-machine stack runs their commands without one."""

    def log_group(self, scope: Construct, id: str, name: str) -> LogGroup:
        """A log group that keeps what is written for as long as this stage does."""
        return LogGroup(scope, id, log_group_name=name, retention=self.log_retention, removal_policy=self.logs_removal)


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            name="local",
            log_retention=RetentionDays.ONE_WEEK,
            logs_removal=RemovalPolicy.DESTROY,
            reserved_concurrency=None,
            alarms=False,
            anchor_retention=ObjectLockRetention.governance(Duration.days(1)),
            relay_service=False,
            task_image_given=False,
        ),
        Stage(
            name="dev",
            log_retention=RetentionDays.ONE_WEEK,
            logs_removal=RemovalPolicy.DESTROY,
            reserved_concurrency=20,
            alarms=True,
            anchor_retention=ObjectLockRetention.governance(Duration.days(7)),
            relay_service=True,
            task_image_given=True,
        ),
        Stage(
            name="prod",
            log_retention=RetentionDays.THREE_MONTHS,
            logs_removal=RemovalPolicy.RETAIN,
            reserved_concurrency=50,
            alarms=True,
            anchor_retention=ObjectLockRetention.compliance(Duration.days(3 * 365)),
            relay_service=True,
            task_image_given=True,
        ),
    )
}


def stage_named(name: str) -> Stage:
    """Raises ValueError for an unknown name."""
    if name not in STAGES:
        raise ValueError(f"no stage {name!r}; stages.py has {', '.join(STAGES)}")
    return STAGES[name]
