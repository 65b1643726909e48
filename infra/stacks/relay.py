"""The outbox relay as a service: one task that reads the event log and publishes it on the bus.

What only the deployer knows comes as CloudFormation parameters: the image, the network that reaches Postgres, the secret.
"""

from __future__ import annotations

from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.stages import Stage


class Relay(Construct):
    """Never two tasks at a time: a deployment stops the old one first. (A lock in the database guards it as well.)"""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, cluster: ecs.CfnCluster, bus: events.IEventBus) -> None:
        super().__init__(scope, id)
        name = f"media-assets-{stage.name}-relay"
        subnets = self._parameter(
            "RelaySubnets",
            "List<AWS::EC2::Subnet::Id>",
            "Subnets of the relay. From there it reaches Postgres, and by a NAT gateway or VPC endpoints ECR, S3, "
            "CloudWatch, CloudWatch Logs, Secrets Manager and EventBridge.",
        )
        security_groups = self._parameter(
            "RelaySecurityGroups",
            "List<AWS::EC2::SecurityGroup::Id>",
            "Security groups of the relay. Postgres lets one of them in; nothing needs to reach the relay.",
        )
        task = self._task(name, stage, bus)
        service = ecs.CfnService(
            self,
            "Service",
            service_name=name,
            cluster=cluster.ref,
            task_definition=task.task_definition_arn,
            launch_type="FARGATE",
            desired_count=1,
            deployment_configuration=ecs.CfnService.DeploymentConfigurationProperty(
                minimum_healthy_percent=0,
                maximum_percent=100,
                deployment_circuit_breaker=ecs.CfnService.DeploymentCircuitBreakerProperty(enable=True, rollback=True),
            ),
            network_configuration=ecs.CfnService.NetworkConfigurationProperty(
                awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                    subnets=subnets.value_as_list,
                    security_groups=security_groups.value_as_list,
                    assign_public_ip="DISABLED",
                )
            ),
        )
        service.node.add_dependency(task)  # its roles' policies included: the first task would start without rights

    def _task(self, name: str, stage: Stage, bus: events.IEventBus) -> ecs.FargateTaskDefinition:
        repository = self._parameter("RelayRepository", "String", "ECR repository, in this account, of the relay's image.")
        tag = self._parameter("RelayImageTag", "String", "Tag of the relay's image. It has media-assets on its PATH.")
        secret_name = f"media-assets-{stage.name}/relay-database-url"
        # ECS takes no shorter form of the ARN than the one with the six characters that Secrets Manager appended.
        secret_arn = self._parameter(
            "RelayDatabaseUrlArn",
            "String",
            f"Full ARN of the secret {secret_name}: the database as the role media_assets_relay, a postgresql:// URL.",
            allowed_pattern=f"arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:{secret_name}-[A-Za-z0-9]{{6}}",
        )
        database_url = secretsmanager.Secret.from_secret_complete_arn(self, "DatabaseUrl", secret_arn.value_as_string)
        log_group = stage.log_group(self, "Logs", f"/ecs/{name}")
        task = ecs.FargateTaskDefinition(self, "Task", family=name, cpu=256, memory_limit_mib=512)
        task.add_container(
            "relay",
            image=ecs.ContainerImage.from_ecr_repository(
                ecr.Repository.from_repository_name(self, "Repository", repository.value_as_string), tag.value_as_string
            ),
            command=["media-assets", "relay"],
            environment={"MEDIA_STAGE": stage.name, "MEDIA_EVENT_BUS": bus.event_bus_name},
            secrets={"MEDIA_RELAY_DATABASE_URL": ecs.Secret.from_secrets_manager(database_url)},
            logging=ecs.LogDriver.aws_logs(stream_prefix="relay", log_group=log_group),
            # As a container's first process it would never see SIGTERM, and die in mid-batch 30 s later.
            linux_parameters=ecs.LinuxParameters(self, "Linux", init_process_enabled=True),
        )
        bus.grant_put_events_to(task.task_role)
        task.add_to_task_role_policy(
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],  # metrics have no ARN
                conditions={"StringEquals": {"cloudwatch:namespace": "media-assets"}},
            )
        )
        return task

    def _parameter(self, id: str, type: str, description: str, allowed_pattern: str | None = None) -> CfnParameter:
        """Of the stack, whose templates name parameters as they are written here."""
        return CfnParameter(Stack.of(self), id, type=type, description=description, allowed_pattern=allowed_pattern)
