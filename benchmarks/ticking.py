"""python -m benchmarks.ticking WHAT [COUNT]: evaluate sensors as Dagster's code server does; print a JSON line a tick.

`drain` evaluates the upload sensor until the queue is empty. `idle` evaluates COUNT times both sensors that ask for runs, and
fails if they ask for one. `list` does the same with the sensor of benchmarks/stock_dagster, to which every key of the
bucket is known. A line has `seconds`, `arrived` uploads and `rss_mb`, the process's memory after the tick.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import boto3
import psutil
from dagster import DagsterInstance, Definitions, SensorDefinition, build_sensor_context

from media_assets.definitions import defs
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.pending_work import pending_work_sensor
from media_assets.defs.sensors.s3_upload import s3_upload_sensor
from media_assets.settings import get_settings


def main(what: str, count: int = 0) -> None:
    with DagsterInstance.get() as instance:
        if what == "drain":
            while _tick(instance, defs, [s3_upload_sensor])["arrived"]:
                pass
        elif what == "idle":
            for _ in range(count):
                _tick(instance, defs, [s3_upload_sensor, pending_work_sensor], idle=True)
        elif what == "list":
            from benchmarks.stock_dagster import definitions as stock

            _make_known(instance)
            for _ in range(count):
                _tick(instance, stock.defs, [stock.photo_sensor], idle=True)


def _tick(
    instance: DagsterInstance, definitions: Definitions, sensors: Sequence[SensorDefinition], *, idle: bool = False
) -> dict[str, Any]:
    began = time.perf_counter()
    arrived = 0
    for sensor in sensors:
        resources = {"media": MediaResource()} if "media" in sensor.required_resource_keys else {}
        with build_sensor_context(
            instance=instance, resources=resources, sensor_name=sensor.name, definitions=definitions
        ) as context:
            tick = sensor.evaluate_tick(context)
        arrived += sum(event.metadata["arrived"].value for event in tick.asset_events)  # type: ignore[misc]
        if idle and (tick.run_requests or tick.asset_events):
            raise AssertionError(f"{sensor.name} found something to do")
    seconds = time.perf_counter() - began
    gc.collect()
    told = {"seconds": seconds, "arrived": arrived, "rss_mb": psutil.Process().memory_info().rss / 1e6}
    print(json.dumps(told), flush=True)
    return told


def _make_known(instance: DagsterInstance) -> None:
    """A partition for every key, as if each had been seen in an earlier tick."""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=get_settings().bucket, Prefix="uploads/")
    for page in pages:
        instance.add_dynamic_partitions("photos", [entry["Key"] for entry in page["Contents"]])


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
