"""The synthesized template: what is stored how, who may do what, and what differs between stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from infra.bundles import PROJECT
from infra.steps import FUNCTIONS, STEPS
from media_assets.settings import Settings
from tests.unit.cloudformation import granted, node, readable, synthesized

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

BUCKET = "${Bucket.Arn}"
STAGES = ("local", "dev", "prod")


@pytest.fixture(scope="module")
def templates() -> dict[str, Template]:
    return {stage: synthesized(stage) for stage in STAGES}


@pytest.fixture
def template(templates: dict[str, Template]) -> Template:
    return templates["prod"]


@pytest.mark.parametrize("name", ["media-assets-prod-", "media-assets-prod-anchors-"])
def test_the_buckets_keep_every_version_in_private_and_encrypted(template: Template, name: str) -> None:
    template.resource_count_is("AWS::S3::Bucket", 2)
    template.has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketName": {"Fn::Join": ["", [name, {"Ref": "AWS::AccountId"}]]},
                "VersioningConfiguration": {"Status": "Enabled"},
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
                },
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
        },
    )


@pytest.mark.parametrize(
    ("stage", "mode", "days"), [("local", "GOVERNANCE", 1), ("dev", "GOVERNANCE", 7), ("prod", "COMPLIANCE", 1095)]
)
def test_anchors_are_locked_and_nothing_else_is(templates: dict[str, Template], stage: str, mode: str, days: int) -> None:
    buckets = templates[stage].find_resources("AWS::S3::Bucket").values()
    locked = {
        readable(bucket["Properties"]["BucketName"]): bucket["Properties"]["ObjectLockConfiguration"]
        for bucket in buckets
        if bucket["Properties"].get("ObjectLockEnabled")
    }
    assert locked == {
        f"media-assets-{stage}-anchors-${{AWS::AccountId}}": {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": mode, "Days": days}},
        }
    }


def test_only_previews_and_what_is_being_dispatched_expire(template: Template) -> None:
    rules = [
        rule
        for bucket in template.find_resources("AWS::S3::Bucket").values()
        for rule in bucket["Properties"].get("LifecycleConfiguration", {"Rules": []})["Rules"]
    ]
    expiring = [rule for rule in rules if {"ExpirationInDays", "NoncurrentVersionExpiration"} & rule.keys()]
    assert [(rule["Prefix"], rule["ExpirationInDays"]) for rule in expiring] == [("previews/", 30), ("dispatch/", 1)]
    assert {rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in expiring} == {1}


def test_nobody_talks_to_buckets_or_queues_in_clear_text(template: Template) -> None:
    policies = {
        **template.find_resources("AWS::S3::BucketPolicy"),
        **template.find_resources("AWS::SQS::QueuePolicy"),
    }
    assert len(policies) == 4
    for policy in policies.values():
        refusal = {"Bool": {"aws:SecureTransport": "false"}}
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        assert any(s["Effect"] == "Deny" and s["Condition"] == refusal for s in statements)


def test_only_uploads_are_notified_and_only_by_this_bucket(template: Template) -> None:
    from aws_cdk.assertions import Match

    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "NotificationConfiguration": {
                "QueueConfigurations": [
                    {
                        "Event": "s3:ObjectCreated:*",
                        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "uploads/"}]}},
                        "Queue": Match.any_value(),
                    }
                ]
            }
        },
    )
    senders = [
        statement
        for policy in template.find_resources("AWS::SQS::QueuePolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert [(s["Action"], s["Principal"]) for s in senders] == [
        ("sqs:SendMessage", {"Service": "s3.amazonaws.com"}),
    ]
    condition = senders[0]["Condition"]
    assert readable(condition["ArnEquals"]["aws:SourceArn"]).endswith(":s3:::media-assets-prod-${AWS::AccountId}")
    assert readable(condition["StringEquals"]["aws:SourceAccount"]) == "${AWS::AccountId}"


def test_an_upload_message_lasts_two_weeks_and_is_given_up_after_five_tries(template: Template) -> None:
    from aws_cdk.assertions import Match

    template.resource_properties_count_is(
        "AWS::SQS::Queue", {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}, 2
    )
    template.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "VisibilityTimeout": 120,
            "RedrivePolicy": {"maxReceiveCount": 5, "deadLetterTargetArn": Match.any_value()},
        },
    )


@pytest.mark.parametrize(
    ("step", "rights"),
    [
        ("probe", {"s3:GetObject": {"uploads/*"}, "s3:GetObjectVersion": {"uploads/*"}}),
        (
            "thumbnail",
            {
                "s3:GetObject": {"uploads/*", "derived/*/frames/*", "derived/*/thumbnail/*"},
                "s3:GetObjectVersion": {"uploads/*", "derived/*/frames/*", "derived/*/thumbnail/*"},
                "s3:PutObject": {"derived/*/thumbnail/*"},
            },
        ),
        (
            "analyze",
            {
                "s3:GetObject": {"derived/*/thumbnail/*", "derived/*/analyze/*"},
                "s3:GetObjectVersion": {"derived/*/thumbnail/*", "derived/*/analyze/*"},
                "s3:PutObject": {"derived/*/analyze/*"},
                "secretsmanager:GetSecretValue": {"model-api-key"},
            },
        ),
        (
            "embed",
            {
                "s3:GetObject": {"derived/*/embed/*"},
                "s3:GetObjectVersion": {"derived/*/embed/*"},
                "s3:PutObject": {"derived/*/embed/*"},
                "secretsmanager:GetSecretValue": {"model-api-key"},
            },
        ),
        (
            "detect",
            {
                "s3:GetObject": {"derived/*/thumbnail/*", "models/*"},
                "s3:GetObjectVersion": {"derived/*/thumbnail/*", "models/*"},
            },
        ),
        (
            "frames",
            {
                "s3:GetObject": {"uploads/*", "derived/*/frames/*"},
                "s3:GetObjectVersion": {"uploads/*", "derived/*/frames/*"},
                "s3:PutObject": {"derived/*/frames/*"},
            },
        ),
        (
            "segment",
            {
                "s3:GetObject": {"uploads/*", "derived/*/segment/*", "processed/*"},
                "s3:GetObjectVersion": {"uploads/*", "derived/*/segment/*", "processed/*"},
                "s3:PutObject": {"derived/*/segment/*", "processed/*"},
            },
        ),
        (
            "vary",
            {
                "s3:GetObject": {"processed/*/vary/*"},
                "s3:GetObjectVersion": {"processed/*/vary/*"},
                "s3:PutObject": {"processed/*/vary/*"},
                "secretsmanager:GetSecretValue": {"model-api-key"},
            },
        ),
        (
            "inspect",
            {
                "s3:GetObject": {"uploads/*", "derived/*/segment/*", "derived/*/frames/*", "processed/*"},
                "s3:GetObjectVersion": {"uploads/*", "derived/*/segment/*", "derived/*/frames/*", "processed/*"},
            },
        ),
    ],
)
def test_a_function_may_do_what_its_step_needs_and_nothing_else(
    template: Template, step: str, rights: dict[str, set[str]]
) -> None:
    secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:media-assets-prod"
    log_group = f"${{{step.capitalize()}Logs.Arn}}"
    expected = {
        action: {f"{secret}/{name}-??????" if action.startswith("secret") else f"{BUCKET}/{name}" for name in names}
        for action, names in rights.items()
    }
    dispatched = {function.name for function in FUNCTIONS if function.dispatched}
    for action in ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject") if step in dispatched else ():
        expected.setdefault(action, set()).add(f"{BUCKET}/dispatch/{step}/*")
    expected |= {"s3:ListBucket": {BUCKET}, "logs:CreateLogStream": {log_group}, "logs:PutLogEvents": {log_group}}
    role_id = function(template, step)["Properties"]["Role"]["Fn::GetAtt"][0]
    role = template.find_resources("AWS::IAM::Role")[role_id]

    assert granted(template, role_id) == expected
    assert not role["Properties"].keys() & {"ManagedPolicyArns", "Policies"}
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize(
    ("step", "memory", "timeout", "scratch"),
    [
        ("probe", 1024, 60, None),
        ("thumbnail", 2048, 120, None),
        ("analyze", 2048, 300, None),
        ("embed", 1024, 300, None),
        ("detect", 2048, 300, None),
        ("frames", 3008, 900, 2048),
        ("segment", 3008, 900, 2048),
        ("vary", 512, 300, None),
        ("inspect", 2048, 300, 2048),
    ],
)
def test_a_function_has_its_size_its_time_and_its_disk(
    template: Template, step: str, memory: int, timeout: int, scratch: int | None
) -> None:
    properties = function(template, step)["Properties"]
    assert (properties["MemorySize"], properties["Timeout"]) == (memory, timeout)
    assert properties.get("EphemeralStorage", {}).get("Size") == scratch
    assert properties["FunctionName"] == f"media-assets-prod-{step}"
    assert properties["Handler"] == f"lambdas.{step}.handler.handler"


def test_only_steps_that_call_models_know_the_name_of_the_key_and_nothing_holds_the_key(template: Template) -> None:
    environments = {step.name: function(template, step.name)["Properties"]["Environment"]["Variables"] for step in FUNCTIONS}
    named = {step: variables["MODEL_API_KEY_SECRET"] for step, variables in environments.items() if len(variables) > 2}
    assert named == dict.fromkeys(("analyze", "embed", "vary"), "media-assets-prod/model-api-key")
    assert all(variables["MEDIA_STAGE"] == "prod" for variables in environments.values())
    assert all(readable(variables["MEDIA_BUCKET"]) == "${Bucket}" for variables in environments.values())
    template.resource_count_is("AWS::SecretsManager::Secret", 0)


@pytest.mark.parametrize(
    ("stage", "days", "log_groups", "concurrency", "alarms"),
    [("local", 7, 12, None, 0), ("dev", 7, 13, 20, 11), ("prod", 90, 13, 50, 11)],
)
def test_stages_differ_in_logs_concurrency_and_alarms(
    templates: dict[str, Template], stage: str, days: int, log_groups: int, concurrency: int | None, alarms: int
) -> None:
    template = templates[stage]
    template.resource_count_is("AWS::Logs::LogGroup", log_groups)
    template.resource_properties_count_is("AWS::Logs::LogGroup", {"RetentionInDays": days}, log_groups)
    functions = template.find_resources("AWS::Lambda::Function").values()
    assert {f["Properties"].get("ReservedConcurrentExecutions") for f in functions} == {concurrency}
    template.resource_count_is("AWS::CloudWatch::Alarm", alarms)


def test_an_unknown_stage_is_refused_by_name() -> None:
    from infra.stages import stage_named

    with pytest.raises(ValueError, match=r"no stage 'production'.*prod"):
        stage_named("production")


@pytest.mark.parametrize("stage", STAGES)
def test_clients_find_everything_in_the_outputs(templates: dict[str, Template], stage: str) -> None:
    outputs = templates[stage].find_outputs("*").keys()
    functions = {f"{step.name.capitalize()}FunctionName" for step in FUNCTIONS}
    queues = {"UploadQueueUrl", "UploadDeadLetterQueueUrl"}
    tasks = {f"{step.name.capitalize()}TaskFamily" for step in STEPS if step.task}
    assert outputs >= {"BucketName", "EventBusName", "AnchorBucketName", "ClusterName"} | queues | functions | tasks


def test_functions_get_a_layer_each_where_one_was_built_and_a_stage_in_the_cloud_insists_on_it(
    tmp_path: Path,
) -> None:
    with node():
        from aws_cdk import App
        from aws_cdk.assertions import Annotations, Match, Template

        from infra.app import add_stack

    for step in FUNCTIONS:
        (tmp_path / step.name / "python").mkdir(parents=True)
        (tmp_path / step.name / "python" / "package.py").write_text(step.name)
    with_layers = add_stack(App(), "prod", tmp_path)
    without = add_stack(App(), "prod")

    functions = Template.from_stack(with_layers).find_resources("AWS::Lambda::Function").values()
    layers = {f["Properties"]["Layers"][0]["Ref"] for f in functions}
    assert len(layers) == len(FUNCTIONS)
    Annotations.from_stack(with_layers).has_no_error("*", Match.any_value())
    Annotations.from_stack(without).has_error("*", Match.string_like_regexp("infra.layers"))


def function(template: Template, step: str) -> Any:
    (found,) = [
        resource
        for resource in template.find_resources("AWS::Lambda::Function").values()
        if resource["Properties"]["FunctionName"].endswith(f"-{step}")
    ]
    return found


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_dispatch_stays_below_what_is_reserved_for_each_function(stage: str) -> None:
    from infra.stages import stage_named

    reserved = stage_named(stage).reserved_concurrency
    assert reserved is not None
    assert Settings().dispatch_threads * runs()["max_concurrent_runs"] <= reserved


def test_whatever_takes_long_leaves_a_run_for_new_pictures() -> None:
    limited = [limit["limit"] for limit in runs()["tag_concurrency_limits"] if isinstance(limit.get("value"), str | None)]
    assert sum(limited) == runs()["max_concurrent_runs"] - 1


def runs() -> Any:
    """What dagster.yaml says of them."""
    return yaml.safe_load((PROJECT / "dagster.yaml").read_text())["concurrency"]["runs"]
