"""vs_stock_dagster: photos against Dagster's documented pattern on the same emulator and the same Postgres server.

Theirs (benchmarks/stock_dagster) is a sensor that lists keys, one dynamic partition and one run a file, and the stock
PipesLambdaClient, in a Dagster of its own: daemon and code server, its defaults, no webserver. Its functions do the same
steps and write objects; it keeps nothing in a database but Dagster's own records. Ours is idle meanwhile, and the other
way round. Both have done some photos before.

Theirs takes the same time for each file, so twenty tell its rate; ours shares the start of a run among what is there, so
it is measured with as many and with two hundred.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
import psycopg

from benchmarks.figure import Figure, Goal, compare
from benchmarks.photos import kept_photos
from benchmarks.running_stack import NotDoneError, RunningStack, running_stack
from benchmarks.stock_dagster.steps import PHOTO_STEPS
from media_assets.local.dagster_processes import PROJECT
from media_assets.local.processes import spawn, stop_marked, tail

OURS_AT_MOST = int(os.environ.get("BENCH_PHOTOS", "200"))
THEIRS = min(20, OURS_AT_MOST)
WARM_UP = 2
GOAL = Goal("≥", 20.0)
_BUCKET = "stock-photos"
_HERE = Path(__file__).with_name("stock_dagster")
_PATIENCE_SECONDS = 180
_POLL_SECONDS = 0.2


def run() -> Iterator[Figure]:
    photos = kept_photos(OURS_AT_MOST)
    with running_stack() as stack:
        stack.seconds(photos[:16])
        few = THEIRS / stack.seconds(photos[:THEIRS])
        many = OURS_AT_MOST / stack.seconds(photos)
        stop_marked(stack.mark, grace_seconds=5)
        _deploy(stack)
        for executor, goal in (("default", GOAL), ("in_process", None)):
            with _stock_dagster(stack, executor) as log:
                _seconds(stack, photos[:WARM_UP], f"{executor}-warm", log)
                theirs = THEIRS / _seconds(stack, photos[:THEIRS], executor, log)
            for variant, ours in ((f"{THEIRS} photos each", few), (f"{OURS_AT_MOST} photos against {THEIRS}", many)):
                executors = "" if executor == "default" else ", theirs with the in-process executor"
                yield compare("vs_stock_dagster", f"{variant}{executors}", "files/s", [ours], [theirs], goal)


def _deploy(stack: RunningStack) -> None:
    """Their bucket, their functions, their database."""
    stack.s3.create_bucket(Bucket=_BUCKET)
    environment = stack.environment
    functions = boto3.client(
        "lambda",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("stock_function.py", "from benchmarks.stock_dagster.function import handler\n")
    for step in PHOTO_STEPS.values():
        functions.create_function(
            FunctionName=f"stock-{step.name}",
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/stock",
            Handler="stock_function.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=step.timeout_seconds,
            MemorySize=step.memory_mb,
            Environment={"Variables": {"PYTHONPATH": str(PROJECT)}},
        )
    with psycopg.connect(environment["MEDIA_OWNER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE stock")


@contextmanager
def _stock_dagster(stack: RunningStack, executor: str) -> Iterator[Path]:
    """Their code server and daemon; the log of both and of runs. They carry the mark of the stack's own Dagster, so whatever
    ends the stack ends them too."""
    home = stack.folder / f"stock-{executor}"
    home.mkdir()
    shutil.copy(_HERE / "dagster.yaml", home)
    (home / "workspace.yaml").write_text("load_from: [{grpc_server: {socket: code.sock, location_name: stock}}]\n")
    environment = {
        **stack.environment,
        "DAGSTER_HOME": str(home),
        "STOCK_DATABASE_URL": stack.environment["DAGSTER_DATABASE_URL"].replace("/dagster?", "/stock?"),
        "STOCK_BUCKET": _BUCKET,
        "STOCK_EXECUTOR": executor,
        "PYTHONPATH": str(PROJECT),
    }
    module = ["--module-name", "benchmarks.stock_dagster.definitions"]
    code_server = ["dagster", "api", "grpc", "--socket", "code.sock", *module]
    daemon = ["dagster._daemon", "run", "--workspace", "workspace.yaml"]
    try:
        for process in (code_server, daemon):
            argv = [sys.executable, "-m", *process]
            spawn(argv, mark=stack.mark, environment=environment, folder=home, log=home / "log")
        yield home / "log"
    finally:
        stop_marked(stack.mark, grace_seconds=5)


def _seconds(stack: RunningStack, photos: Sequence[Path], name: str, log: Path) -> float:
    """From the first PUT until every step of every photo has stored its result. Raises NotDoneError with the log's end."""
    s3 = stack.s3
    began = time.monotonic()
    for photo in photos:
        s3.put_object(Bucket=_BUCKET, Key=f"uploads/{name}/{photo.name}", Body=photo.read_bytes())
    wanted, done, since = len(photos) * len(PHOTO_STEPS), 0, began
    while done < wanted:
        time.sleep(_POLL_SECONDS)
        found = s3.list_objects_v2(Bucket=_BUCKET, Prefix=f"results/uploads/{name}/")["KeyCount"]
        if found > done:
            done, since = found, time.monotonic()
        elif time.monotonic() - since > _PATIENCE_SECONDS:
            raise NotDoneError(f"{done} of {wanted} results, and no new one for {_PATIENCE_SECONDS} s:\n{tail(log)}")
    return time.monotonic() - began
