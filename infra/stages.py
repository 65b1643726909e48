"""What differs between deployments; everything else is the same template."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays


@dataclass(frozen=True)
class Stage:
    name: str
    log_retention: RetentionDays
    logs_removal: RemovalPolicy
    reserved_concurrency: int | None
    """Invocations of one function at a time, taken out of the account's pool; None leaves the function in that pool."""
    alarms: bool


STAGES = {
    stage.name: stage
    for stage in (
        Stage("local", RetentionDays.ONE_WEEK, RemovalPolicy.DESTROY, reserved_concurrency=None, alarms=False),
        Stage("dev", RetentionDays.ONE_WEEK, RemovalPolicy.DESTROY, reserved_concurrency=10, alarms=True),
        Stage("prod", RetentionDays.THREE_MONTHS, RemovalPolicy.RETAIN, reserved_concurrency=50, alarms=True),
    )
}


def stage_named(name: str) -> Stage:
    """Raises ValueError for an unknown name."""
    if name not in STAGES:
        raise ValueError(f"no stage {name!r}; stages.py has {', '.join(STAGES)}")
    return STAGES[name]
