"""The pattern of Dagster's guides: a sensor that lists keys, a dynamic partition and a run a file, stock PipesLambdaClient.

`DynamicPartitionsDefinition` with a sensor that adds what it hasn't seen is from the guide on partitioning assets,
`get_objects` from dagster_aws, the assets from the page on AWS Lambda. Executor, run queue and launcher are the defaults.
STOCK_BUCKET names the bucket; STOCK_EXECUTOR=in_process takes that executor instead of the default, a process a step.
"""

import os
from typing import Any

import boto3
import dagster as dg
from dagster_aws.pipes import PipesLambdaClient
from dagster_aws.s3.sensor import get_objects

from benchmarks.stock_dagster.steps import PHOTO_STEPS
from media_assets.settings import get_settings
from media_assets.steps.step import Step

BUCKET = os.environ["STOCK_BUCKET"]
photos = dg.DynamicPartitionsDefinition(name="photos")


def step_asset(step: Step) -> dg.AssetsDefinition:
    settings = get_settings()
    parameters = {**step.recipe(settings).parameters, **step.limits(settings)}

    @dg.asset(name=step.asset, deps=[PHOTO_STEPS[step.upstream].asset] if step.upstream else [], partitions_def=photos)
    def _materialize(context: dg.AssetExecutionContext, lambda_pipes_client: PipesLambdaClient) -> dg.MaterializeResult[Any]:
        return lambda_pipes_client.run(
            context=context,
            function_name=f"stock-{step.name}",
            event={"step": step.name, "bucket": BUCKET, "key": context.partition_key, "parameters": parameters},
        ).get_materialize_result()

    return _materialize


assets = [step_asset(step) for step in PHOTO_STEPS.values()]
photos_job = dg.define_asset_job("photos_job", dg.AssetSelection.assets(*assets))


@dg.sensor(job=photos_job, minimum_interval_seconds=4, default_status=dg.DefaultSensorStatus.RUNNING)
def photo_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    known = set(context.instance.get_dynamic_partitions("photos"))
    new = [entry["Key"] for entry in get_objects(BUCKET, prefix="uploads/") if entry["Key"] not in known]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=key) for key in new],
        dynamic_partitions_requests=[photos.build_add_request(new)],
    )


defs = dg.Definitions(
    assets=assets,
    jobs=[photos_job],
    sensors=[photo_sensor],
    resources={"lambda_pipes_client": PipesLambdaClient(client=boto3.client("lambda"))},
    executor=dg.in_process_executor if os.environ.get("STOCK_EXECUTOR") == "in_process" else None,
)
