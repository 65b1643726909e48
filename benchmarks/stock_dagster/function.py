"""The Lambda function of a step as Dagster's guide writes one: one file an invocation, messages to the log.

The step itself is the project's. What later steps read of it goes to `results/<key>/<step>.json`, since the stock client
doesn't hand over what a function returns. There is no database.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from dagster_pipes import PipesContext, PipesMappingParamsLoader, open_dagster_pipes

from benchmarks.one_photo import FUNCTIONS, facts_of
from lambdas.runtime.contract import BatchItem
from lambdas.runtime.step import StepContext
from lambdas.runtime.storage import Storage, s3_client
from media_assets.steps.embed import text_of


def handler(event: dict[str, Any], context: Any) -> None:
    with open_dagster_pipes(params_loader=PipesMappingParamsLoader(event)) as pipes:
        step, bucket, key = event["step"], event["bucket"], event["key"]
        item = BatchItem(
            item_id=key,
            bucket=bucket,
            key=key,
            version_id="null",
            size_bytes=s3_client().head_object(Bucket=bucket, Key=key)["ContentLength"],
            generation=0,
            output_prefix=f"derived/{key}/{step}/",
            input=_facts(step, bucket, key),
        )
        done = FUNCTIONS[step](
            item,
            StepContext(
                step=step,
                recipe="",
                parameters=event["parameters"],
                attempt=1,
                storage=Storage(s3_client()),
                log=logging.getLogger(step),
                remaining_milliseconds=context.get_remaining_time_in_millis,
            ),
        )
        keys = {output.attributes["size"]: output.key for output in done.outputs}
        result = json.dumps({**done.result, "thumbnails": keys} if keys else done.result)
        s3_client().put_object(Bucket=bucket, Key=f"results/{key}/{step}.json", Body=result.encode())
        pipes.report_asset_materialization(metadata={"objects": len(done.outputs)})
    # A warm function's next invocation would get this one's closed context (dagster-io/dagster #22094).
    PipesContext._instance = None


def _facts(step: str, bucket: str, key: str) -> dict[str, Any]:
    if step in {"probe", "thumbnail"}:
        return {}
    if step == "embed":
        return {"text": text_of(_result("analyze", bucket, key)["analysis"])}
    return facts_of(_result("probe", bucket, key), _result("thumbnail", bucket, key)["thumbnails"])


def _result(step: str, bucket: str, key: str) -> dict[str, Any]:
    body = s3_client().get_object(Bucket=bucket, Key=f"results/{key}/{step}.json")["Body"].read()
    return json.loads(body)  # type: ignore[no-any-return]
