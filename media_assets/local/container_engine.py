"""The container engine of the one-machine stack: what the emulator runs ECS tasks on where there is no Docker.

Its containers are plain processes; media_assets/local/containers has how. They live no longer than the engine: those of
one that was killed are ended by its next start or stop.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

from media_assets.local.containers.container import end_processes
from media_assets.local.environment import base_environment
from media_assets.local.processes import ProcessDiedError, spawn, stop_marked
from media_assets.local.sockets import make_private, remove_if_empty, socket_folder

_START_SECONDS = 60
_STOP_SECONDS = 10
_ANSWER_SECONDS = 5
_SOCKET_NAME = "docker.sock"


class ContainerEngine:
    """At most one engine works in `folder`."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.log = log
        self._socket = socket_folder(folder / "socket", _SOCKET_NAME) / _SOCKET_NAME
        self._mark = f"container-engine:{folder}"

    @property
    def docker_host(self) -> str:
        """The value of DOCKER_HOST for who wants to talk to it."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it unless it answers, and wait until it does; what a killed one had running is ended first. Idempotent.

        Raises ProcessDiedError and ProcessSurvivedError.
        """
        if self.is_ready():
            return
        stop_marked(self._mark, 0)
        make_private(self._containers, os.getuid())  # their output is nobody else's business
        make_private(self._socket.parent, os.getuid())  # who may use the socket may run any command
        self._socket.unlink(missing_ok=True)
        record = spawn(
            [sys.executable, "-m", "media_assets.local.containers.server", str(self._containers), str(self._socket)],
            mark=self._mark,
            environment=base_environment(),
            folder=self.folder,
            log=self.log,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready():
            if not record.is_alive or time.monotonic() > deadline:
                raise ProcessDiedError("The container engine", self.log)
            time.sleep(0.05)

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(64)
            except OSError:
                return False

    def stop(self) -> None:
        """End it with all its containers, also of one that was killed, and forget them. Idempotent.

        Raises ProcessSurvivedError.
        """
        stop_marked(self._mark, _STOP_SECONDS)
        if self._containers.exists():
            for container in self._containers.iterdir():
                end_processes(container)
            shutil.rmtree(self._containers)
        self._socket.unlink(missing_ok=True)
        remove_if_empty(self._socket.parent)

    @property
    def _containers(self) -> Path:
        return self.folder / "containers"
