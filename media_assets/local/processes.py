"""Processes of the one-machine stack: started apart, found again after any crash, ended with all their descendants.

Nothing is ever ended by name or by number alone. A process is known by its pid together with its start time, and each
one and all it starts carry a mark in their environment, so that the children of a killed parent are found too.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict

MARK = "MEDIA_STACK_MEMBER"
_LOG_LIMIT_BYTES = 10_000_000
_CLOCK_STEP_SECONDS = 2  # start times are computed from the boot time, which moves when the clock is set
_children: list[subprocess.Popen[bytes]] = []  # kept so that those that end are reaped


class ProcessDiedError(RuntimeError):
    """A process ended, or wasn't ready in time; the message has the end of its log."""

    def __init__(self, name: str, log: Path) -> None:
        super().__init__(f"{name} did not start; the end of {log}:\n{tail(log)}")


class ProcessSurvivedError(RuntimeError):
    """A process is still there after SIGKILL, e.g. stuck in the kernel."""

    def __init__(self, survivors: Sequence[psutil.Process]) -> None:
        super().__init__(f"processes {[process.pid for process in survivors]} are still running after SIGKILL")


class Account(NamedTuple):
    """Whom a process runs as."""

    uid: int
    gid: int


class ProcessRecord(BaseModel):
    """Identifies one process: numbers are used again, a number with its start time is not."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: float
    """Seconds since the epoch, as the operating system has it."""

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessRecord:
        return cls(pid=process.pid, started=process.create_time())

    @property
    def is_alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_STEP_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def spawn(
    argv: Sequence[str],
    *,
    mark: str,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    account: Account | None = None,
) -> ProcessRecord:
    """Start a process in a session of its own (Ctrl-C in our terminal doesn't reach it), its output appended to `log`.

    `environment` is all it gets, plus the mark. As root, `account` is whom it runs as.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".previous.log"))
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    _children.append(child)
    return ProcessRecord.of(psutil.Process(child.pid))


def marked(mark: str) -> list[psutil.Process]:
    """Every living process that carries the mark, whoever its parent is now."""
    return [process for process in psutil.process_iter() if _mark_of(process) == mark]


def stop_marked(mark: str, grace_seconds: float, *, wait_not_for: Sequence[str] = ()) -> None:
    """SIGTERM to every process with the mark, SIGKILL to those left after `grace_seconds`; returns when none is.

    Those whose command has one of the words `wait_not_for` in it don't get that time when only they are left. Raises
    ProcessSurvivedError.
    """
    deadline = time.monotonic() + grace_seconds
    for process in marked(mark):
        _signal(process, kill=False)
    while (remaining := marked(mark)) and time.monotonic() < deadline:
        if all(any(word in _command(process) for word in wait_not_for) for process in remaining):
            break
        wait_gone(remaining, 0.2)
    for _ in range(3):  # one that was starting a child when it was killed leaves it to the next round
        for process in remaining:
            _signal(process, kill=True)
        wait_gone(remaining, 5)
        if not (remaining := marked(mark)):
            return
    raise ProcessSurvivedError(remaining)


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended; returns those that haven't after `seconds`."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            return alive
        time.sleep(0.02)
    return []


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, at most 8 kB."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return b"\n".join(file.read().splitlines()[-lines:]).decode(errors="replace")


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK) if _is_alive(process) else None
    except psutil.Error:  # ended meanwhile, or another user's
        return None


def _command(process: psutil.Process) -> str:
    """Empty if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_alive(process: psutil.Process) -> bool:
    """A zombie has ended; who should reap it isn't always there (a container's first process, say)."""
    for child in _children:
        child.poll()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
