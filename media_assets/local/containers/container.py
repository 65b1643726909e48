"""A container that is a tree of plain processes: same life, exit codes and signals, without any isolation.

It ends as a container does, with its first process, whatever the others are doing. What makes them found is a mark in
their environment, so also those that left the session or whose parents are gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from media_assets.local.containers.output import STDERR, Output
from media_assets.local.containers.record import ContainerRecord
from media_assets.local.emulator import WORKER_NICENESS
from media_assets.local.processes import MARK, ProcessSurvivedError, stop_marked

_MEMORY_INTERVAL_SECONDS = 0.25
_LAST_WORDS_SECONDS = 1
"""What is left to a pipe that somebody still holds after every process we know was killed."""
_log = logging.getLogger(__name__)


class CannotStartError(RuntimeError):
    """The command can't be run; the message is the one that Docker's runtime has for it."""


class Container:
    """One container, which lives in `folder` until it is removed."""

    def __init__(self, folder: Path, record: ContainerRecord, environment: Mapping[str, str]) -> None:
        self.record = record
        self.output = Output(folder / "output.jsonl")
        self._folder = folder
        self._environment = environment
        self._ended = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None
        self._supervision: asyncio.Task[None] | None = None
        record.save(folder)

    @classmethod
    def recovered(cls, folder: Path) -> Container | None:
        """One of a server that was killed. Its processes are ended: nobody would learn how they end by themselves.

        None, and the folder is gone, if it was never started.
        """
        end_processes(folder)
        try:
            record = ContainerRecord.load(folder)
        except FileNotFoundError:
            record = None
        if record is None or record.started is None:
            shutil.rmtree(folder)
            return None
        if record.finished is None:
            record.finished = datetime.now(UTC)
            record.pid, record.exit_code = 0, 128 + signal.SIGKILL
            record.error = "the container engine was killed"
        container = cls(folder, record, {})
        container._clear()
        return container

    @property
    def is_running(self) -> bool:
        return self.record.status == "running"

    async def start(self) -> None:
        """Run the command in a folder of its own, at the niceness of workers. Raises CannotStartError."""
        work = work_folder(self._folder)
        work.mkdir()
        loop = asyncio.get_running_loop()
        try:
            self._transport, pipes = await loop.subprocess_exec(
                lambda: _Pipes(self.output),
                *self.record.command,
                cwd=work,
                env={**self._environment, MARK: _mark_of(self._folder)},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a zero byte in it
            raise CannotStartError(_refusal(self.record.command[0], error)) from error
        self.record.pid = self._transport.get_pid()
        with suppress(ProcessLookupError):  # it has ended already
            os.setpriority(os.PRIO_PGRP, self.record.pid, WORKER_NICENESS)
        self.record.started = datetime.now(UTC)
        self.record.save(self._folder)
        self._supervision = loop.create_task(self._supervise(pipes, self._transport))

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM to the first process, SIGKILL to all after the grace period; returns when they have ended."""
        if not self.is_running:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended.wait(), grace_seconds)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._ended.wait()

    def signal(self, number: int) -> None:
        """Send the first process a signal; if that ends it, the others are killed."""
        if self._transport is not None:
            with suppress(ProcessLookupError):
                self._transport.send_signal(number)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        await self._ended.wait()
        return self.record.exit_code

    def remove(self) -> None:
        """Delete its folder; readers of its output keep what they have open."""
        shutil.rmtree(self._folder)

    async def _supervise(self, pipes: _Pipes, transport: asyncio.SubprocessTransport) -> None:
        watch = asyncio.create_task(self._watch_memory()) if self.record.memory_bytes else None
        await pipes.exited.wait()
        if watch is not None:
            watch.cancel()
        try:
            await asyncio.to_thread(end_processes, self._folder)
        except ProcessSurvivedError as error:
            _log.error("container %s: %s", self.record.name, error)
        with suppress(TimeoutError):
            await asyncio.wait_for(pipes.closed.wait(), _LAST_WORDS_SECONDS)
        transport.close()
        status = transport.get_returncode() or 0
        self.record.exit_code = 128 - status if status < 0 else status
        self.record.pid = 0
        self.record.finished = datetime.now(UTC)
        self.record.save(self._folder)
        self._clear()

    def _clear(self) -> None:
        self.output.close()
        shutil.rmtree(work_folder(self._folder), ignore_errors=True)
        self._ended.set()

    async def _watch_memory(self) -> None:
        """Kill it as the kernel kills a container that needs more than its limit.

        Not by RLIMIT_AS, which counts what is only reserved: numpy and onnxruntime reserve gigabytes.
        """
        limit = self.record.memory_bytes or 0
        while (used := await asyncio.to_thread(resident_bytes, self.record.pid)) <= limit:
            await asyncio.sleep(_MEMORY_INTERVAL_SECONDS)
        self.record.oom_killed = True
        said = f"OutOfMemoryError: Container killed due to memory usage: {used >> 20} MiB of {limit >> 20} MiB\n"
        self.output.write(STDERR, said.encode())
        self.signal(signal.SIGKILL)


class _Pipes(asyncio.SubprocessProtocol):
    """asyncio's `Process.wait` may wait for the pipes as well, which grandchildren hold open."""

    def __init__(self, output: Output) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._output = output
        self._open = 2

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._output.write(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open -= 1
        if self._open == 0:
            self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()


def work_folder(folder: Path) -> Path:
    """Working, home and temporary folder of a container's processes; deleted when they have ended."""
    return folder / "work"


def end_processes(folder: Path) -> None:
    """Kill every process of the container in `folder`, whoever started it. Raises ProcessSurvivedError."""
    with suppress(FileNotFoundError):
        if ContainerRecord.load(folder).finished:
            return  # looking through all processes takes a while
    stop_marked(_mark_of(folder), 0)


def resident_bytes(pid: int) -> int:
    """Memory of a process and its descendants; what they share is counted for each. 0 if the process has ended."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return sum(map(_resident_bytes, (first, *first.children(recursive=True))))
    return 0


def _mark_of(folder: Path) -> str:
    return f"container:{folder}"


def _resident_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _refusal(program: str, error: Exception) -> str:
    reason = "executable file not found in $PATH" if isinstance(error, FileNotFoundError) else str(error)
    return f'failed to create task for container: unable to start container process: exec: "{program}": {reason}: unknown'
