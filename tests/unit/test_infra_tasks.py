"""The tasks of steps in the synthesized template: what runs, as whom, and where its image comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra.bundles import PROJECT
from infra.steps import STEPS
from media_assets.settings import Settings
from tests.unit.cloudformation import granted, readable, synthesized

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

STAGES = ("local", "dev", "prod")


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesized("prod")


def definition(template: Template, family: str = "media-assets-prod-detect") -> Any:
    (resource,) = template.find_resources("AWS::ECS::TaskDefinition", {"Properties": {"Family": family}}).values()
    return resource["Properties"]


@pytest.mark.parametrize("stage", STAGES)
def test_dispatch_finds_cluster_and_families_by_name(stage: str) -> None:
    settings, template = Settings(stage=stage), synthesized(stage)
    template.resource_count_is("AWS::ECS::Cluster", 1)
    template.has_resource_properties("AWS::ECS::Cluster", {"ClusterName": settings.ecs_cluster})
    for step in STEPS:
        found = template.find_resources("AWS::ECS::TaskDefinition", {"Properties": {"Family": settings.task_family(step.name)}})
        assert len(found) == bool(step.task)


def test_the_relay_runs_in_the_cluster_of_the_tasks(template: Template) -> None:
    (cluster,) = template.find_resources("AWS::ECS::Cluster")
    (service,) = template.find_resources("AWS::ECS::Service").values()
    assert service["Properties"]["Cluster"] == {"Ref": cluster}


def test_a_task_runs_its_step_at_its_size(template: Template) -> None:
    task = definition(template)
    (container,) = task["ContainerDefinitions"]
    environment = {variable["Name"]: readable(variable["Value"]) for variable in container["Environment"]}

    assert (task["Cpu"], task["Memory"], task["RequiresCompatibilities"]) == ("1024", "2048", ["FARGATE"])
    assert (container["Name"], container["Command"]) == ("step", ["python", "-m", "lambdas.detect.task"])
    assert environment == {"MEDIA_STAGE": "prod", "MEDIA_BUCKET": "${Bucket}"}
    assert container["LinuxParameters"]["InitProcessEnabled"] is True
    assert (container["StopTimeout"], container["ReadonlyRootFilesystem"]) == (30, True)
    assert readable(container["LogConfiguration"]["Options"]["awslogs-group"]) == "${TasksDetectLogs}"
    template.has_resource_properties(
        "AWS::Logs::LogGroup", {"LogGroupName": "/ecs/media-assets-prod-detect", "RetentionInDays": 90}
    )


@pytest.mark.parametrize("step", ["frames", "segment"])
def test_a_task_of_videos_has_disk_where_it_may_write(template: Template, step: str) -> None:
    task = definition(template, f"media-assets-prod-{step}")
    (container,) = task["ContainerDefinitions"]

    assert (task["Cpu"], task["Memory"], task["EphemeralStorage"]) == ("2048", "4096", {"SizeInGiB": 50})
    assert task["Volumes"] == [{"Name": "scratch"}]
    assert container["MountPoints"] == [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "scratch"}]
    assert container["ReadonlyRootFilesystem"] is True
    # Fargate gives a volume to root alone unless the image declares it.
    assert "VOLUME /tmp" in (PROJECT / "infra" / "images" / "tasks" / "Dockerfile").read_text().splitlines()


def test_a_task_that_writes_no_files_can_write_none(template: Template) -> None:
    (container,) = definition(template)["ContainerDefinitions"]
    assert not {"Volumes", "EphemeralStorage"} & definition(template).keys()
    assert "MountPoints" not in container


@pytest.mark.parametrize("step", [step.name for step in STEPS if step.task])
def test_a_task_may_do_what_its_function_may(template: Template, step: str) -> None:
    (function,) = template.find_resources(
        "AWS::Lambda::Function", {"Properties": {"FunctionName": f"media-assets-prod-{step}"}}
    ).values()
    task_role = definition(template, f"media-assets-prod-{step}")["TaskRoleArn"]["Fn::GetAtt"][0]
    of_function = granted(template, function["Properties"]["Role"]["Fn::GetAtt"][0])

    writes_its_log = {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert granted(template, task_role) == {a: r for a, r in of_function.items() if a not in writes_its_log}
    role = template.find_resources("AWS::IAM::Role")[task_role]["Properties"]
    assert role.keys() == {"AssumeRolePolicyDocument"}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}


def test_ecs_may_pull_the_image_and_write_the_log_and_nothing_else(template: Template) -> None:
    repository = "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${TaskRepository}"
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
    write = ("logs:CreateLogStream", "logs:PutLogEvents")
    assert granted(template, definition(template)["ExecutionRoleArn"]["Fn::GetAtt"][0]) == {
        **{action: {repository} for action in pull},
        "ecr:GetAuthorizationToken": {"*"},
        **{action: {"${TasksDetectLogs.Arn}"} for action in write},
    }


@pytest.mark.parametrize(("stage", "has_default"), [("local", True), ("dev", False), ("prod", False)])
def test_only_one_machine_does_without_an_image(stage: str, has_default: bool) -> None:
    template = synthesized(stage)
    (container,) = definition(template, f"media-assets-{stage}-detect")["ContainerDefinitions"]
    parameters = {name: p for name, p in template.find_parameters("*").items() if name.startswith("Task")}
    assert readable(container["Image"]).endswith("/${TaskRepository}:${TaskImageTag}")
    assert {name: "Default" in parameter for name, parameter in parameters.items()} == {
        "TaskRepository": has_default,
        "TaskImageTag": has_default,
    }
    assert all(parameter["Description"].isascii() for parameter in parameters.values())
