"""Alarms for what nobody would notice: messages given up on, and functions that fail as a whole.

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

    def _on_any(self, id: str, metric: cloudwatch.Metric, description: str) -> None:
        alarm = metric.create_alarm(
            self,
            id,
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )
        alarm.add_alarm_action(SnsAction(self.topic))
        alarm.add_ok_action(SnsAction(self.topic))
