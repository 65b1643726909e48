"""The one stack of a stage, composed of constructs; its outputs are what a client of the deployment needs to know."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra.stacks.alarms import Alarms
from infra.stacks.event_log import EventLog
from infra.stacks.functions import StepFunctions
from infra.stacks.relay import Relay
from infra.stacks.step_access import StepAccess
from infra.stacks.storage import Storage
from infra.stacks.tasks import StepTasks
from infra.stages import Stage


class MediaAssetsStack(Stack):
    """`layer_dir` holds a folder of third-party packages a step; None where the packages are importable anyway."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, layer_dir: Path | None) -> None:
        super().__init__(scope, id, description=f"media-assets, stage {stage.name}")
        storage = Storage(self, "Storage", stage=stage)
        access = StepAccess(self, "Access", stage=stage, bucket=storage.bucket)
        functions = StepFunctions(self, "Functions", stage=stage, access=access, layer_dir=layer_dir)
        tasks = StepTasks(self, "Tasks", stage=stage, access=access)
        event_log = EventLog(self, "EventLog", stage=stage)
        if stage.relay_service:
            Relay(self, "Relay", stage=stage, cluster=tasks.cluster, bus=event_log.bus)
        if stage.alarms:
            alarms = Alarms(
                self,
                "Alarms",
                stage=stage,
                dead_letter_queue=storage.dead_letter_queue,
                functions=functions.by_step,
            )
            CfnOutput(self, "AlarmTopicArn", value=alarms.topic.topic_arn)

        CfnOutput(self, "BucketName", value=storage.bucket.bucket_name)
        CfnOutput(self, "UploadQueueUrl", value=storage.upload_queue.queue_url)
        CfnOutput(self, "UploadDeadLetterQueueUrl", value=storage.dead_letter_queue.queue_url)
        CfnOutput(self, "EventBusName", value=event_log.bus.event_bus_name)
        CfnOutput(self, "AnchorBucketName", value=event_log.anchors.bucket_name)
        for step, function in functions.by_step.items():
            CfnOutput(self, f"{step.capitalize()}FunctionName", value=function.function_name)
        CfnOutput(self, "ClusterName", value=tasks.cluster.ref)
        for step, definition in tasks.by_step.items():
            CfnOutput(self, f"{step.capitalize()}TaskFamily", value=definition.family)
