"""A one-machine stack of a benchmark's own: brought up in a scratch folder of the project, taken down and removed after.

What a benchmark that was killed has left behind is taken down by the next one.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from sqlalchemy import text

from benchmarks.server import BUILD
from media_assets.eventlog.store import EventStore
from media_assets.local.dagster_processes import PROJECT
from media_assets.local.environment import base_environment
from media_assets.local.processes import stop_marked
from media_assets.local.stack import Stack
from media_assets.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_PREFIX = "bench-stack-"
_POLL_SECONDS = 0.1
_PUTS_AT_ONCE = 4


class NotDoneError(RuntimeError):
    """Files that a benchmark sent through the stack did not make it."""


@dataclass(frozen=True)
class RunningStack:
    """A stack that runs. `environment` is all that a process needs to work with it (PATH and the like included)."""

    folder: Path
    environment: Mapping[str, str]
    settings: Settings
    """The stack's, with the bucket, the queue and the database."""
    store: EventStore
    """As the application's role."""

    @property
    def mark(self) -> str:
        """What Dagster's processes carry (media_assets.local.processes.marked): code server, daemon, webserver, runs."""
        return f"dagster:{self.folder / 'dagster'}"

    @property
    def emulator_mark(self) -> str:
        """What the emulator carries and its Lambda workers with it."""
        return f"emulator:{self.folder / 'emulator'}"

    @property
    def s3(self) -> S3Client:
        return self._client("s3")  # type: ignore[no-any-return]

    @property
    def sqs(self) -> SQSClient:
        return self._client("sqs")  # type: ignore[no-any-return]

    def seconds(self, files: Sequence[Path]) -> float:
        """From the first PUT to the last step committed, of files that are new items each time."""
        user = f"bench-{uuid.uuid4().hex[:12]}"
        began = time.monotonic()
        self.put(files, user)
        return self.await_done(user, len(files)) - began

    def put(self, files: Sequence[Path], user: str) -> None:
        """PUT every file as `uploads/<user>/<its name>`, four at a time."""
        s3 = self.s3
        with ThreadPoolExecutor(_PUTS_AT_ONCE) as pool:
            list(pool.map(lambda file: self.put_one(file.read_bytes(), f"{user}/{file.name}", s3), files))

    def put_one(self, body: bytes, name: str, s3: S3Client | None = None) -> None:
        (s3 or self.s3).put_object(Bucket=self.settings.bucket, Key=f"uploads/{name}", Body=body)

    def await_done(self, user: str, count: int, *, patience_seconds: float = 180) -> float:
        """Wait until `count` items of a user are done, which is every step of theirs committed.

        Returns time.monotonic() as of then, late by a tenth of a second at the most. Raises NotDoneError if an item is
        rejected or fails, or if for `patience_seconds` not a single step is.
        """
        seen, since = -1, time.monotonic()
        while True:
            with self.store.engine.connect() as connection:
                states: dict[str, int] = dict(
                    connection.execute(
                        text("SELECT state, count(*) FROM items WHERE user_id = :user GROUP BY state"), {"user": user}
                    )
                    .tuples()
                    .all()
                )
                position = connection.execute(text("SELECT max(position) FROM events")).scalar_one()
            now = time.monotonic()
            if states.get("done", 0) >= count:
                return now
            if lost := states.keys() & {"rejected", "failed", "removed"}:
                raise NotDoneError(f"items are {', '.join(sorted(lost))}: {states}; logs in {self.folder / 'logs'}")
            if position != seen:
                seen, since = position, now
            elif now - since > patience_seconds:
                raise NotDoneError(f"{states} of {count}, and nothing new for {patience_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def run_module(self, module: str, *arguments: object, **environment: str) -> str:
        """What `python -m module …` prints when it runs in the stack's environment. Raises RuntimeError with its errors."""
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            env={**self.environment, **environment},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{module} exited with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=16),
        )


@contextmanager
def running_stack(*, dagster: bool = True, **settings: Any) -> Iterator[RunningStack]:
    """Bring a stack up with settings by field name (`dispatch_threads=2`), and down again however the block ends.

    Without `dagster` its processes are stopped: emulator, deployment, Postgres and relay stay. Takes about 15 s.
    """
    with _folder() as folder:
        try:
            assemblies = BUILD / "bench-cdk"
            assemblies.mkdir(exist_ok=True)
            (folder / "cdk").symlink_to(assemblies)
            stack = Stack(Settings(state_dir=folder, **settings))
            environment = stack.up(lambda message: print(f"  {message}", file=sys.stderr)).environment
            if not dagster:
                stop_marked(f"dagster:{folder / 'dagster'}", grace_seconds=5)
            deployed: dict[str, Any] = {
                "bucket_name": environment["MEDIA_BUCKET"],
                "upload_queue": environment["MEDIA_UPLOAD_QUEUE_URL"],
                "database": environment["DATABASE_URL"],
            }
            told = Settings(state_dir=folder, **deployed, **settings)
            store = EventStore.connect(told.database_url)
            try:
                yield RunningStack(folder, base_environment() | environment, told, store)
            finally:
                store.engine.dispose()
        finally:
            _remove(folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder under a lock that ends with this process, after those of processes that ended have been removed."""
    BUILD.mkdir(exist_ok=True)
    with ExitStack() as held:
        with (BUILD / "bench-stacks.lock").open("w") as all_of_them:
            fcntl.flock(all_of_them, fcntl.LOCK_EX)
            for abandoned in BUILD.glob(f"{_PREFIX}*"):
                with (abandoned / "in-use").open("w") as lock, suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(abandoned)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=BUILD))
            fcntl.flock(held.enter_context((folder / "in-use").open("w")), fcntl.LOCK_EX)
        yield folder


def _remove(folder: Path) -> None:
    Stack(Settings(state_dir=folder)).down()
    shutil.rmtree(folder)
