"""Alarms for what nobody would notice: messages given up on, functions that fail as a whole, events published late.

They tell one SNS topic; who listens to it is not the stack's business. A file's own failure is an event, not an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_cloudwatch_actions import SnsAction
from constructs import Construct

from infra.stages import Stage

_PERIOD = Duration.minutes(5)


class Alarms(Construct):
    """`topic` hears of every alarm, and of its end."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        dead_letter_queue: sqs.IQueue,
        functions: Mapping[str, lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", topic_name=f"media-assets-{stage.name}-alarms", enforce_ssl=True)
        self._on_any(
            "DeadLetters",
            dead_letter_queue.metric_approximate_number_of_messages_visible(period=_PERIOD, statistic="Maximum"),
            "Upload notifications did not reach the event log; docs/infrastructure.md says how to resend them.",
        )
        for step, function in functions.items():
            self._on_any(
                f"{step.capitalize()}Errors",
                function.metric_errors(period=_PERIOD),
                f"The {step} function crashed, timed out or could not start; its log says why.",
            )
        if stage.relay_service:
            self._on_late_events(stage)

    def _on_any(self, id: str, metric: cloudwatch.Metric, description: str) -> None:
        self._notify(
            metric.create_alarm(
                self,
                id,
                threshold=1,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
                alarm_description=description,
            )
        )

    def _on_late_events(self, stage: Stage) -> None:
        """The relay tells its lag also when it has nothing to do, so silence means that it isn't running."""
        lag = cloudwatch.Metric(
            namespace="media-assets",
            metric_name="OutboxLagSeconds",
            dimensions_map={"Stage": stage.name},
            statistic="Maximum",
            period=_PERIOD,
        )
        self._notify(
            lag.create_alarm(
                self,
                "OutboxLag",
                threshold=300,
                evaluation_periods=3,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
                alarm_description="Events reach the bus more than 5 minutes late, or not at all; the relay's log says why.",
            )
        )

    def _notify(self, alarm: cloudwatch.Alarm) -> None:
        alarm.add_alarm_action(SnsAction(self.topic))
        alarm.add_ok_action(SnsAction(self.topic))
