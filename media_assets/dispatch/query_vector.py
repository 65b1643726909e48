"""The vector of a search query, from the same function and recipe that embeds the items."""

from __future__ import annotations

import json
import uuid

import boto3
from botocore.config import Config

from lambdas.runtime.contract import BatchItem, StepRequest
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.manifest import read_manifest
from media_assets.settings import Settings
from media_assets.steps.embed import Embed


def embed_query(settings: Settings, query: str) -> list[float]:
    """The query as a unit vector of the embedding model. Raises TargetUnavailableError with the model's reason."""
    step = Embed()
    recipe = step.recipe(settings)
    item = BatchItem(
        item_id=str(uuid.uuid4()),
        bucket=settings.bucket,
        key="",
        version_id="",
        size_bytes=0,
        generation=0,
        output_prefix="",
        input={"text": query},
    )
    request = StepRequest(
        batch_id=str(uuid.uuid4()),
        attempt_id=str(uuid.uuid4()),
        attempt=1,
        step=step.name,
        recipe=recipe.digest,
        parameters={**recipe.parameters, **step.limits(settings)},
        items=(item,),
    )
    client = boto3.client("lambda", config=Config(read_timeout=60, retries={"total_max_attempts": 2}))
    response = client.invoke(
        FunctionName=settings.function_name(step.name), Payload=json.dumps({"request": request.model_dump(mode="json")})
    )
    if "FunctionError" in response:
        raise TargetUnavailableError(f"{settings.function_name(step.name)} failed: {response['FunctionError']}")
    outcome = read_manifest(request, json.loads(response["Payload"].read())).outcomes[0]
    if outcome.result is None:
        assert outcome.error is not None
        raise TargetUnavailableError(f"the query could not be embedded: {outcome.error.message}")
    return list(outcome.result["vector"])
