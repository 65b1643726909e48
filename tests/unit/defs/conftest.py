"""The environment in which the definitions find a database, a bucket and a queue; and a way to run a check."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache

import boto3
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetChecksDefinition,
    AssetSelection,
    DagsterInstance,
    Definitions,
    JobDefinition,
    define_asset_job,
)

from lambdas.runtime.storage import s3_client
from media_assets.defs.assets.steps import step_assets
from media_assets.defs.assets.uploads import uploads
from media_assets.defs.resource import MediaResource
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.defs.cinema import Cinema
from tests.unit.defs.gallery import Gallery
from tests.unit.defs.screening import Inspecting, Screening


@pytest.fixture
def gallery(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """No items yet. What settings say is what the gallery has."""
    bucket = f"photos-{uuid.uuid4().hex[:12]}"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    queue_url = boto3.client("sqs").create_queue(QueueName=bucket)["QueueUrl"]
    for name, value in {
        "MEDIA_BUCKET": bucket,
        "MEDIA_UPLOAD_QUEUE_URL": queue_url,
        "DATABASE_URL": database.application_url,
        "MEDIA_OWNER_DATABASE_URL": database.owner_url,
        "MEDIA_SENSOR_WAIT_SECONDS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return Gallery(database.store, s3, bucket)


@pytest.fixture
def cinema(gallery: Gallery) -> Cinema:
    """A gallery that shows films, too."""
    return Cinema(gallery.store, gallery.s3, gallery.bucket)


@pytest.fixture
def screening(gallery: Gallery) -> Screening:
    """A cinema whose films are real."""
    s3_client.cache_clear()
    return Screening(gallery.store, gallery.s3, gallery.bucket)


@pytest.fixture
def inspecting(monkeypatch: pytest.MonkeyPatch) -> Inspecting:
    """What answers for Lambda."""
    function, client = Inspecting(), boto3.client
    monkeypatch.setattr(boto3, "client", lambda name, **options: function if name == "lambda" else client(name, **options))
    return function


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def evaluate(check: AssetChecksDefinition, instance: DagsterInstance) -> AssetCheckEvaluation:
    """Run one check alone, as the daily job does all of them."""
    (evaluation,) = _job_of(check).execute_in_process(instance=instance).get_asset_check_evaluations()
    return evaluation


@cache
def _job_of(check: AssetChecksDefinition) -> JobDefinition:
    job = define_asset_job("alone", selection=AssetSelection.checks(check))
    defs = Definitions(assets=[uploads, *step_assets], asset_checks=[check], jobs=[job], resources={"media": MediaResource()})
    return defs.resolve_job_def("alone")


def found(evaluation: AssetCheckEvaluation) -> str:
    """What a check says it found; empty if nothing."""
    return str(evaluation.metadata["found"].value) if "found" in evaluation.metadata else ""
