"""The outbox relay in the synthesized template: how it runs, what it may do, and who hears when it lags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.cloudformation import readable, synthesized

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:media-assets-prod/relay-database-url-a1B2c3"


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesized("prod")


def test_every_stage_has_its_bus_and_only_stages_in_the_cloud_a_service() -> None:
    for stage, services in (("local", 0), ("dev", 1), ("prod", 1)):
        synthesized(stage).has_resource_properties("AWS::Events::EventBus", {"Name": f"media-assets-{stage}"})
        synthesized(stage).resource_count_is("AWS::ECS::Service", services)


def test_there_are_never_two_relays(template: Template) -> None:
    service = only(template, "AWS::ECS::Service")
    assert (service["DesiredCount"], service["LaunchType"]) == (1, "FARGATE")
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 0,
        "MaximumPercent": 100,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }


def test_the_relay_runs_the_command_with_its_url_from_the_secret(template: Template) -> None:
    (container,) = definition(template)["ContainerDefinitions"]
    environment = {variable["Name"]: readable(variable["Value"]) for variable in container["Environment"]}

    assert container["Command"] == ["media-assets", "relay"]
    assert environment == {"MEDIA_STAGE": "prod", "MEDIA_EVENT_BUS": "${Bus}"}
    assert container["Secrets"] == [{"Name": "MEDIA_RELAY_DATABASE_URL", "ValueFrom": {"Ref": "RelayDatabaseUrlArn"}}]
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    assert readable(container["Image"]).endswith("/${RelayRepository}:${RelayImageTag}")
    assert readable(container["LogConfiguration"]["Options"]["awslogs-group"]) == "${RelayLogs}"
    template.has_resource_properties("AWS::Logs::LogGroup", {"LogGroupName": "/ecs/media-assets-prod-relay"})


def test_the_first_task_starts_with_its_rights(template: Template) -> None:
    (service,) = template.find_resources("AWS::ECS::Service").values()
    policies = template.find_resources("AWS::IAM::Policy")
    assert {policy for policy in policies if policy.startswith("Relay")} <= set(service["DependsOn"])


@pytest.mark.parametrize(
    ("role", "statements"),
    [
        (
            "TaskRoleArn",
            [
                ("events:PutEvents", "${Bus.Arn}", None),
                ("cloudwatch:PutMetricData", "*", {"StringEquals": {"cloudwatch:namespace": "media-assets"}}),
            ],
        ),
        (
            "ExecutionRoleArn",
            [
                (
                    ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
                    "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${RelayRepository}",
                    None,
                ),
                ("ecr:GetAuthorizationToken", "*", None),
                (["logs:CreateLogStream", "logs:PutLogEvents"], "${RelayLogs.Arn}", None),
                (
                    ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
                    "${RelayDatabaseUrlArn}",
                    None,
                ),
            ],
        ),
    ],
)
def test_the_relay_may_publish_and_measure_and_nothing_else(template: Template, role: str, statements: list[Any]) -> None:
    role_id = definition(template)[role]["Fn::GetAtt"][0]
    (policy,) = [
        policy["Properties"]["PolicyDocument"]
        for policy in template.find_resources("AWS::IAM::Policy").values()
        if {"Ref": role_id} in policy["Properties"]["Roles"]
    ]
    found = [(s["Action"], readable(s["Resource"]), s.get("Condition")) for s in policy["Statement"]]

    assert found == statements
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
    assert template.find_resources("AWS::IAM::Role")[role_id]["Properties"].keys() == {"AssumeRolePolicyDocument"}


def test_the_deployer_names_image_network_and_secret(template: Template) -> None:
    every = template.find_parameters("*")
    parameters = {name: parameter for name, parameter in every.items() if name.startswith("Relay")}
    assert {name: parameter["Type"] for name, parameter in parameters.items()} == {
        "RelayRepository": "String",
        "RelayImageTag": "String",
        "RelayDatabaseUrlArn": "String",
        "RelaySubnets": "List<AWS::EC2::Subnet::Id>",
        "RelaySecurityGroups": "List<AWS::EC2::SecurityGroup::Id>",
    }
    assert all(parameter["Description"].isascii() for parameter in parameters.values())
    network = only(template, "AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network == {
        "AssignPublicIp": "DISABLED",
        "Subnets": {"Ref": "RelaySubnets"},
        "SecurityGroups": {"Ref": "RelaySecurityGroups"},
    }


@pytest.mark.parametrize(
    ("arn", "accepted"),
    [
        (SECRET_ARN, True),
        (SECRET_ARN.removesuffix("-a1B2c3"), False),
        (SECRET_ARN.replace("prod", "dev"), False),
        (SECRET_ARN.replace("relay-database-url", "owner-database-url"), False),
    ],
)
def test_only_the_stages_own_secret_is_taken_and_by_its_full_arn(template: Template, arn: str, accepted: bool) -> None:
    pattern = template.find_parameters("RelayDatabaseUrlArn")["RelayDatabaseUrlArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, arn)) is accepted


def test_a_lag_of_minutes_raises_an_alarm_and_so_does_silence(template: Template) -> None:
    template.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "Namespace": "media-assets",
            "MetricName": "OutboxLagSeconds",
            "Dimensions": [{"Name": "Stage", "Value": "prod"}],
            "Statistic": "Maximum",
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 300,
            "EvaluationPeriods": 3,
            "TreatMissingData": "breaching",
        },
    )
    topic = [{"Ref": next(iter(template.find_resources("AWS::SNS::Topic")))}]
    for alarm in template.find_resources("AWS::CloudWatch::Alarm").values():
        assert (alarm["Properties"]["AlarmActions"], alarm["Properties"]["OKActions"]) == (topic, topic)


def definition(template: Template) -> Any:
    """The properties of the relay's task definition."""
    (resource,) = template.find_resources(
        "AWS::ECS::TaskDefinition", {"Properties": {"Family": "media-assets-prod-relay"}}
    ).values()
    return resource["Properties"]


def only(template: Template, resource_type: str) -> Any:
    """The properties of the one resource of a type."""
    (resource,) = template.find_resources(resource_type).values()
    return resource["Properties"]
