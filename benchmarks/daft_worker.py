"""Daft with two worker processes, in the environment of what is compared with: photos from the bucket, results into it.

Daft lists and downloads the photos itself, ahead of the workers. A worker does all steps of a photo, writes its thumbnails
to the bucket and returns the rows; they are copied into Postgres while the workers go on. Daft starts the workers with each
query and ends them with it, so each query loads the models.
"""

from __future__ import annotations

import json
import os
import time
from functools import cache

import daft  # type: ignore[import-not-found]
import psycopg

from benchmarks import read_models
from benchmarks.one_photo import Photo, process
from benchmarks.peer import answer
from lambdas.runtime.contract import BatchItem
from lambdas.runtime.storage import Storage, s3_client

WORKERS = 2
_PHOTOS_A_BATCH = 8
_PHOTOS_A_COPY = 100


class Downloaded(Storage):
    """A source that Daft has downloaded; the rest is in the bucket."""

    def __init__(self, body: bytes) -> None:
        super().__init__(s3_client())
        self._body = body

    def read(self, item: BatchItem, limit_bytes: int) -> bytes:
        return self._body

    def read_range(self, item: BatchItem, start: int, length: int) -> bytes:
        return self._body[start : start + length]


@daft.cls(max_concurrency=WORKERS, use_process=True)
class Steps:
    """All steps of a photo."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=_PHOTOS_A_BATCH)
    def rows(self, paths: daft.Series, bodies: daft.Series) -> list[str]:
        photos = zip(paths.to_pylist(), bodies.to_pylist(), strict=True)
        return [json.dumps(process(Photo(self._bucket, path, "1", len(body), Downloaded(body)))) for path, body in photos]


def handle(bucket: str, prefix: str, dsn: str, schema: str, photos: int) -> float:
    """Seconds from listing the prefix until the last row is committed; tables are emptied before."""
    with psycopg.connect(dsn) as connection:
        read_models.empty(connection, schema)
        began = time.perf_counter()
        files = daft.from_glob_path(f"s3://{bucket}/{prefix}*", io_config=_io_config()).into_batches(_PHOTOS_A_BATCH)
        body = files["path"].download(io_config=_io_config())
        results = files.select(Steps(bucket).rows(files["path"], body).alias("rows"))
        waiting = []
        for row in results.iter_rows():
            waiting.append(json.loads(row["rows"]))
            if len(waiting) == _PHOTOS_A_COPY:
                read_models.insert(connection, schema, waiting)
                waiting.clear()
        read_models.insert(connection, schema, waiting)
        took = time.perf_counter() - began
        read_models.expect(connection, schema, photos)
    return took


@cache
def _io_config() -> daft.io.IOConfig:
    """The emulator's address and credentials, which the step functions read in the environment."""
    return daft.io.IOConfig(
        s3=daft.io.S3Config(
            endpoint_url=os.environ["AWS_ENDPOINT_URL"],
            region_name=os.environ["AWS_REGION"],
            key_id=os.environ["AWS_ACCESS_KEY_ID"],
            access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            use_ssl=False,
            force_virtual_addressing=False,
        )
    )


if __name__ == "__main__":
    daft.set_runner_native()
    answer(handle)
