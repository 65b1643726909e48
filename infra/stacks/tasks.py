"""ECS: the stage's cluster, and for each step that may run there a definition of its Fargate task.

Nothing runs by itself: dispatch starts a task for a batch and names the network. One image holds the code of all steps
(task_image.py); the definition says which of them to run.
"""

from __future__ import annotations

from aws_cdk import CfnParameter, Duration, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.stacks.step_access import StepAccess
from infra.stages import Stage
from infra.steps import STEPS, Step, Task

CONTAINER = "step"
"""Whose environment RunTask overrides."""
_SCRATCH = "scratch"
"""A volume of the task's ephemeral storage: the root filesystem is read-only."""


class StepTasks(Construct):
    """`cluster` is `media-assets-<stage>`; `by_step` maps a step's name to its definition, `media-assets-<stage>-<step>`."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, access: StepAccess) -> None:
        super().__init__(scope, id)
        self.cluster = ecs.CfnCluster(self, "Cluster", cluster_name=f"media-assets-{stage.name}")
        repository, tag = self._image_parameters(stage)
        image = ecs.ContainerImage.from_ecr_repository(
            ecr.Repository.from_repository_name(self, "Repository", repository.value_as_string), tag.value_as_string
        )
        self.by_step = {step.name: self._definition(step, step.task, stage, access, image) for step in STEPS if step.task}

    def _image_parameters(self, stage: Stage) -> tuple[CfnParameter, CfnParameter]:
        """Of the stack, whose templates name parameters as they are written here."""
        stack, local = Stack.of(self), not stage.task_image_given
        description = "ECR repository, in this account, of the tasks' image."
        repository = CfnParameter(stack, "TaskRepository", description=description, default="tasks" if local else None)
        description = "Tag of the tasks' image."
        tag = CfnParameter(stack, "TaskImageTag", description=description, default="local" if local else None)
        return repository, tag

    def _definition(
        self, step: Step, size: Task, stage: Stage, access: StepAccess, image: ecs.ContainerImage
    ) -> ecs.FargateTaskDefinition:
        id = step.name.capitalize()
        name = f"media-assets-{stage.name}-{step.name}"
        log_group = stage.log_group(self, f"{id}Logs", f"/ecs/{name}")
        definition = ecs.FargateTaskDefinition(
            self,
            id,
            family=name,
            cpu=int(size.vcpus * 1024),
            memory_limit_mib=size.memory_mb,
            ephemeral_storage_gib=size.scratch_gib,
        )
        container = definition.add_container(
            CONTAINER,
            image=image,
            command=["python", "-m", f"lambdas.{step.name}.task"],
            environment=access.environment(step),
            logging=ecs.LogDriver.aws_logs(stream_prefix=step.name, log_group=log_group),
            # As a container's first process it would never see the SIGTERM at which it answers with what it has done.
            linux_parameters=ecs.LinuxParameters(self, f"{id}Linux", init_process_enabled=True),
            stop_timeout=Duration.seconds(30),
            readonly_root_filesystem=True,
        )
        if size.scratch_gib:
            definition.add_volume(name=_SCRATCH)
            container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume=_SCRATCH, read_only=False))
        for statement in access.rights(step):
            definition.add_to_task_role_policy(statement)
        return definition
