"""Object Lock in the emulator: its CloudFormation leaves the property out, its S3 enforces what it is told by API.

A restart forgets the configuration and every version's retention, while the versions are still there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectLockConfigurationTypeDef


def lock_objects(s3: S3Client, bucket: str, configuration: ObjectLockConfigurationTypeDef) -> None:
    """Gives a versioned bucket a default retention in days, and its versions what is left of theirs after a restart.

    `configuration` is a bucket's ObjectLockConfiguration, in a template as in the S3 API. Where it is in force already
    nothing happens; where another one is, versions keep the retention that they got by it.
    """
    current = _configuration(s3, bucket)
    if current == configuration:
        return
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    if current is not None:
        return
    retention = configuration["Rule"]["DefaultRetention"]
    now = datetime.now(UTC)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in page.get("Versions", []):
            until = version["LastModified"] + timedelta(days=retention["Days"])
            if until > now:
                s3.put_object_retention(
                    Bucket=bucket,
                    Key=version["Key"],
                    VersionId=version["VersionId"],
                    Retention={"Mode": retention["Mode"], "RetainUntilDate": until},
                )


def _configuration(s3: S3Client, bucket: str) -> ObjectLockConfigurationTypeDef | None:
    try:
        return s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
            raise
        return None
