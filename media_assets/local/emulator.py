"""The AWS emulator: `ministack` as a process of our own, on loopback only.

It keeps objects on disk; everything else (functions, queues and their messages, secrets) is gone when it ends, so who
starts it deploys afterwards.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from media_assets.local.environment import base_environment
from media_assets.local.loopback_http import answers
from media_assets.local.ports import LOOPBACK
from media_assets.local.processes import ProcessDiedError, ProcessRecord, spawn, stop_marked

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
WORKER_NICENESS = 10
"""Of Lambda workers and ECS tasks, so that sensors and run launches keep their pace beside them."""
WORKER_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Variables for numerical libraries, which would each take every core."""
_START_SECONDS = 60
_STOP_SECONDS = 5
_DOCKER_SECONDS = 130
"""Of one call to Docker; stopping a container takes as long as its grace period, which in ECS is up to 120 s."""


class Emulator:
    """At most one emulator works in `folder`.

    `docker_host`, a DOCKER_HOST, is where ECS tasks run. Without one they are only told of: a task is RUNNING for ever.
    """

    def __init__(self, folder: Path, log: Path, docker_host: str | None = None) -> None:
        self.folder = folder
        self.log = log
        self._docker_host = docker_host
        self._mark = f"emulator:{folder}"

    @staticmethod
    def endpoint_url(port: int) -> str:
        return f"http://{LOOPBACK}:{port}"

    def start(self, port: int) -> ProcessRecord:
        """Start it on 127.0.0.1:`port` and wait until it answers. Raises ProcessDiedError."""
        scratch = self.folder / "scratch"  # unpacked functions, which a killed emulator leaves behind
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        record = spawn(
            [sys.executable, "-m", "ministack"],
            mark=self._mark,
            environment=self._environment(port, scratch),
            folder=self.folder,
            log=self.log,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready(port):
            if not record.is_alive or time.monotonic() > deadline:
                raise ProcessDiedError("The AWS emulator", self.log)
            time.sleep(0.05)
        return record

    def is_ready(self, port: int) -> bool:
        return answers(f"{self.endpoint_url(port)}/_ministack/health")

    def stop(self) -> None:
        """End it and its Lambda workers, also those of one that was killed. Idempotent. Raises ProcessSurvivedError."""
        stop_marked(self._mark, _STOP_SECONDS)

    def _environment(self, port: int, scratch: Path) -> dict[str, str]:
        return {
            **base_environment(),
            **CREDENTIALS,
            "BIND_HOST": LOOPBACK,  # the default is every address, and it runs any code it is given
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.folder / "s3"),
            "TMPDIR": str(scratch),
            "STATE_DIR": str(scratch),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",  # warm processes, also where there is a Docker host
            # Without one of our choice it would look for this person's, whose containers are none of its business.
            "DOCKER_HOST": self._docker_host or f"unix://{scratch}/no-docker.sock",
            "MINISTACK_DOCKER_TIMEOUT": str(_DOCKER_SECONDS),
            "MEDIA_WORKER_NICE": str(WORKER_NICENESS),
            **WORKER_THREADS,
            "PYTHONUNBUFFERED": "1",
        }
