"""Deploys a synthesized stack into the AWS emulator, the way the CDK command line does it into an account.

The template goes in as it is. The emulator keeps objects on disk and forgets everything else when it stops, so after a
restart the stack is new and its buckets aren't: such a bucket is imported into the stack, as one would do in an account.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, SecretStr

from media_assets.local.emulator import CREDENTIALS, REGION
from media_assets.local.object_lock import lock_objects

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ResourceToImportTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectLockConfigurationTypeDef

STACK_TIMEOUT_SECONDS = 120
_POLL_SECONDS = 0.05
_BOOTSTRAP_VERSION = ("/cdk-bootstrap/hnb659fds/version", "30")
"""What `cdk bootstrap` leaves in an account; the template refuses to be deployed where it is below 6."""
_SUCCEEDED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
_NEVER_CREATED = {"REVIEW_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
"""What CloudFormation can't update, only delete."""
_STARTED = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS"}


class StackOutputs(BaseModel):
    """What a client of the deployment needs. `functions` maps a step to the name of its Lambda function, `tasks` to the
    family of its ECS task definitions."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    upload_queue_url: str
    dead_letter_queue_url: str
    event_bus: str
    """Its name."""
    anchor_bucket: str
    functions: dict[str, str]
    cluster: str
    """Of ECS, its name."""
    tasks: dict[str, str]


class DeploymentError(RuntimeError):
    """The stack did not get where it should; the message names the resources that failed, and why."""


def deploy(assembly: Path, *, endpoint_url: str, stage: str = "local") -> StackOutputs:
    """Creates or updates the stack `media-assets-<stage>` from a cloud assembly and waits until it stands.

    An unchanged stack stays as it is. Raises DeploymentError.
    """
    session = _session()
    account = session.client("sts", endpoint_url=endpoint_url).get_caller_identity()["Account"]
    session.client("ssm", endpoint_url=endpoint_url).put_parameter(
        Name=_BOOTSTRAP_VERSION[0], Value=_BOOTSTRAP_VERSION[1], Type="String", Overwrite=True
    )
    s3 = session.client("s3", endpoint_url=endpoint_url)
    stack = _Stack(
        name=f"media-assets-{stage}",
        cloudformation=session.client("cloudformation", endpoint_url=endpoint_url),
    )
    template_name = f"{stack.name}.template.json"
    buckets = _buckets(json.loads((assembly / template_name).read_text()), account)
    published = _publish_assets(assembly, f"{stack.name}.assets.json", s3, account)

    status = stack.settled()
    if status in _NEVER_CREATED:
        stack.delete()
        status = None
    if status is None:
        stack.import_buckets({bucket.logical_id: bucket.name for bucket in buckets if _bucket_exists(s3, bucket.name)})
    stack.create_or_update(f"{endpoint_url}/{published[template_name]}")
    for bucket in buckets:
        if bucket.object_lock is not None:
            lock_objects(s3, bucket.name, bucket.object_lock)
    return stack.outputs()


def store_model_api_key(key: SecretStr, *, endpoint_url: str, stage: str = "local") -> None:
    """Puts the model endpoint's API key where the functions look for it. The emulator forgets it when it stops."""
    secrets = _session().client("secretsmanager", endpoint_url=endpoint_url)
    name = f"media-assets-{stage}/model-api-key"
    try:
        secrets.create_secret(Name=name, SecretString=key.get_secret_value())
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=name, SecretString=key.get_secret_value())


def _session() -> boto3.Session:
    """The emulator's own credentials and no proxy, whatever the shell has: a real key has no business there."""
    direct = botocore.session.Session()
    direct.set_default_client_config(Config(proxies={}))
    return boto3.Session(
        CREDENTIALS["AWS_ACCESS_KEY_ID"],
        CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
        botocore_session=direct,
    )


def _publish_assets(assembly: Path, manifest: str, s3: S3Client, account: str) -> dict[str, str]:
    """Uploads what the stack refers to, unless it is there: keys are digests. Returns `bucket/key` by source path."""
    published = {}
    for asset in json.loads((assembly / manifest).read_text())["files"].values():
        source = asset["source"]
        (destination,) = asset["destinations"].values()
        bucket = destination["bucketName"].replace("${AWS::AccountId}", account).replace("${AWS::Region}", REGION)
        key = destination["objectKey"]
        if not _bucket_exists(s3, bucket):
            s3.create_bucket(Bucket=bucket)
        if not s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("KeyCount"):
            path = assembly / source["path"]
            s3.put_object(Bucket=bucket, Key=key, Body=zipped(path) if source["packaging"] == "zip" else path.read_bytes())
        published[source["path"]] = f"{bucket}/{key}"
    return published


def zipped(folder: Path) -> bytes:
    """A zip that depends on the names and contents of the folder's files only; every user may read what is in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


@dataclass(frozen=True)
class _Bucket:
    """A bucket as the template has it."""

    logical_id: str
    name: str
    object_lock: ObjectLockConfigurationTypeDef | None


def _buckets(template: dict[str, Any], account: str) -> list[_Bucket]:
    return [
        _Bucket(
            logical_id,
            name=_resolved(resource["Properties"]["BucketName"], {"AWS::AccountId": account}),
            object_lock=resource["Properties"].get("ObjectLockConfiguration"),
        )
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::S3::Bucket"
    ]


def _by_step(outputs: dict[str, str], suffix: str) -> dict[str, str]:
    return {key.removesuffix(suffix).lower(): value for key, value in outputs.items() if key.endswith(suffix)}


def _resolved(name: Any, pseudo_parameters: dict[str, str]) -> str:
    """A name that is literal, or joined from literals and pseudo parameters."""
    if isinstance(name, str):
        return name
    if "Ref" in name:
        return pseudo_parameters[name["Ref"]]
    separator, parts = name["Fn::Join"]
    return str(separator).join(_resolved(part, pseudo_parameters) for part in parts)


def _bucket_exists(s3: S3Client, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return False
    return True


class _Stack:
    """One CloudFormation stack by name; an operation waits for its end and raises DeploymentError if it failed."""

    def __init__(self, name: str, cloudformation: CloudFormationClient) -> None:
        self.name = name
        self._cloudformation = cloudformation

    def settled(self) -> str | None:
        """The stack's status once nothing is in progress; None when there is no stack."""
        deadline = time.monotonic() + STACK_TIMEOUT_SECONDS
        while True:
            try:
                status = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            except ClientError as error:
                if "does not exist" not in error.response["Error"]["Message"]:
                    raise
                return None
            if status == "REVIEW_IN_PROGRESS" or not status.endswith("_IN_PROGRESS"):
                return status
            if time.monotonic() > deadline:
                raise DeploymentError(f"stack {self.name} is still {status} after {STACK_TIMEOUT_SECONDS} s")
            time.sleep(_POLL_SECONDS)

    def delete(self) -> None:
        self._cloudformation.delete_stack(StackName=self.name)
        if (status := self.settled()) not in (None, "DELETE_COMPLETE"):
            raise self._failure(status)

    def import_buckets(self, buckets: dict[str, str]) -> None:
        """Makes a stack of existing buckets, name by logical id; without any it makes none.

        They come in with nothing but their names, so that the update which follows sets every property.
        """
        if not buckets:
            return
        template = {
            "Resources": {
                logical_id: {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": name}}
                for logical_id, name in buckets.items()
            }
        }
        resources: list[ResourceToImportTypeDef] = [
            {
                "ResourceType": "AWS::S3::Bucket",
                "LogicalResourceId": logical_id,
                "ResourceIdentifier": {"BucketName": name},
            }
            for logical_id, name in buckets.items()
        ]
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName="import",
            ChangeSetType="IMPORT",
            ResourcesToImport=resources,
            TemplateBody=json.dumps(template),
        )["Id"]
        described = self._cloudformation.describe_change_set(ChangeSetName=change_set)
        if described["Status"] == "FAILED":
            raise DeploymentError(f"stack {self.name} can't import {buckets}: {described['StatusReason']}")
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        self._raise_unless_succeeded()

    def create_or_update(self, template_url: str) -> None:
        exists = self.settled() is not None
        operation = self._cloudformation.update_stack if exists else self._cloudformation.create_stack
        try:
            operation(StackName=self.name, TemplateURL=template_url, Capabilities=["CAPABILITY_IAM"])
        except ClientError as error:
            reason = error.response["Error"]["Message"]
            if "No updates are to be performed" not in reason:
                raise DeploymentError(f"stack {self.name} was refused: {reason}") from error
        self._raise_unless_succeeded()

    def outputs(self) -> StackOutputs:
        stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        values = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        return StackOutputs(
            bucket=values["BucketName"],
            upload_queue_url=values["UploadQueueUrl"],
            dead_letter_queue_url=values["UploadDeadLetterQueueUrl"],
            event_bus=values["EventBusName"],
            anchor_bucket=values["AnchorBucketName"],
            functions=_by_step(values, "FunctionName"),
            cluster=values["ClusterName"],
            tasks=_by_step(values, "TaskFamily"),
        )

    def _raise_unless_succeeded(self) -> None:
        if (status := self.settled()) not in _SUCCEEDED:
            raise self._failure(status)

    def _failure(self, status: str | None) -> DeploymentError:
        """What failed in the last operation: its events are newest first and begin with the stack's own."""
        reasons = []
        for event in self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]:
            resource = event["LogicalResourceId"]
            if resource == self.name and event["ResourceStatus"] in _STARTED:
                break
            if event["ResourceStatus"].endswith("_FAILED"):
                reasons.append(f"{resource} ({event['ResourceType']}): {event.get('ResourceStatusReason')}")
        # What was refused before anything was made has its reasons here.
        for check in self._cloudformation.describe_events(StackName=self.name)["OperationEvents"]:
            if check.get("ValidationStatus") == "FAILED":
                reasons.append(f"{check['LogicalResourceId']}: {check['ValidationStatusReason']}")
        return DeploymentError("\n  ".join([f"stack {self.name} ended as {status}", *reversed(reasons)]))
