"""Running ffmpeg on a stranger's file: what it may open, use and say is decided here.

It gets the file as a descriptor, its demuxer forced and every protocol but `fd` refused: a playlist is no video then, and a
container that names other files or hosts finds none. Its environment is empty, its folder the item's own. It lives no longer
than the process that started it, also if that is killed. What it prints is never passed on, because it may quote the file:
its exit status, FFmpeg's error number modulo 256, says what went wrong, but for a lack of memory, which has many.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.lifetime import end_with
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat

MEMORY_BYTES = 6 * 1024**3
"""Of address space. x264 takes some 2 GB of it for 4K."""
_OPEN_FILES = 64
_SECONDS_BETWEEN_LOOKS = 0.25
_INVALID_DATA, _END_OF_FILE = 183, 187  # AVERROR_INVALIDDATA, AVERROR_EOF
_MOSTLY_UNDECODABLE = 69  # FFMPEG_ERROR_RATE_EXCEEDED
_NO_MEMORY, _NO_THREAD, _NO_SPACE, _TOO_LARGE = 256 - 12, 256 - 11, 256 - 28, 256 - 27  # ENOMEM, EAGAIN, ENOSPC, EFBIG
_SAID_FOR_LACK_OF_MEMORY = re.compile(rb"Cannot allocate memory|malloc of size \d+ failed")
_REMEMBERED_BYTES = 65536


class Deadline:
    """How long the item may take. `reserve_seconds` are kept back for what comes after ffmpeg."""

    def __init__(self, remaining_milliseconds: Callable[[], int], reserve_seconds: float) -> None:
        self._remaining, self._reserve = remaining_milliseconds, reserve_seconds
        self._expected = time.monotonic() + self.seconds

    @property
    def seconds(self) -> float:
        return self._remaining() / 1000 - self._reserve

    def check(self) -> None:
        """Raise StepError TIMEOUT if the time is over, NOT_STARTED if it was cut short: then the worker was told to stop."""
        if self.seconds > 0:
            return
        if time.monotonic() < self._expected - 1:
            raise StepError(ErrorCode.NOT_STARTED, "the worker was told to stop before this video was done")
        raise StepError(ErrorCode.TIMEOUT, "the video took longer than the time there is")


@dataclass(frozen=True)
class Source:
    """A stranger's file that is open for reading, and the container it was found to be."""

    descriptor: int
    format: VideoFormat

    @classmethod
    @contextmanager
    def open(cls, path: Path, format: VideoFormat) -> Iterator[Source]:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield cls(descriptor, format)
        finally:
            os.close(descriptor)

    def input(self) -> Any:
        """The file as an input of ffmpeg-python."""
        demuxer = self.format.demuxer
        return ffmpeg.input("fd:", f=demuxer, format_whitelist=demuxer, protocol_whitelist="fd", fd=self.descriptor)


@dataclass(frozen=True)
class Sandbox:
    """Where ffmpeg works: the item's folder, its time, and how many bytes it may write there."""

    folder: Path
    deadline: Deadline
    output_bytes: int

    def run(self, source: Source, output: Any, on_progress: Callable[[float], None] = lambda seconds: None) -> None:
        """Let ffmpeg make an output of ffmpeg-python. `on_progress` hears how many seconds of it there are.

        Raises StepError: CORRUPT if ffmpeg can't read the file; STEP_ERROR for memory or output that don't suffice, not to be
        tried again, and for a full disk; what `Deadline.check` raises.
        """
        command = ffmpeg.compile(
            output.global_args("-hide_banner", "-nostdin", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5"),
            cmd=imageio_ffmpeg.get_ffmpeg_exe(),
        )
        self.deadline.check()
        already = self._bytes_written()
        complaints = bytearray()
        os.lseek(source.descriptor, 0, os.SEEK_SET)  # an earlier ffmpeg has moved it
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={},
            pass_fds=(source.descriptor,),
            process_group=0,  # a SIGTERM to the worker's group is the worker's to answer
            preexec_fn=_Confinement(self.output_bytes, self.deadline.seconds),
        )
        try:
            for seconds in self._follow(process, complaints):
                self.deadline.check()
                if self._bytes_written() - already > self.output_bytes:
                    raise _too_large(self.output_bytes)
                if seconds is not None:
                    on_progress(seconds)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        if status:
            raise self._failure(status, lacked_memory=bool(_SAID_FOR_LACK_OF_MEMORY.search(complaints)))

    def _follow(self, process: subprocess.Popen[bytes], complaints: bytearray) -> Iterator[float | None]:
        """Until it ends: from time to time how many seconds of output there are, or None if it said nothing. What it
        complains of is added to `complaints`, of which the last are kept."""
        assert process.stdout is not None
        assert process.stderr is not None
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while selector.get_map():
                seconds = None
                for key, _ in selector.select(_SECONDS_BETWEEN_LOOKS):
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        *lines, said = (said + chunk).split(b"\n")
                        seconds = _seconds(lines) or seconds
                    else:
                        complaints += chunk
                        del complaints[:-_REMEMBERED_BYTES]
                yield seconds

    def _bytes_written(self) -> int:
        written = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # ffmpeg renames its list of segments
                    written += entry.stat().st_size
        return written

    def _failure(self, status: int, *, lacked_memory: bool) -> StepError:
        if status in (-signal.SIGXFSZ, _TOO_LARGE):
            return _too_large(self.output_bytes)
        if status == _NO_SPACE:
            return StepError(ErrorCode.STEP_ERROR, "the worker's disk is too small for this video's segments")
        if lacked_memory or status in (_NO_MEMORY, _NO_THREAD, -signal.SIGABRT):
            return StepError(ErrorCode.STEP_ERROR, f"this video takes more than {MEMORY_BYTES / 1e9:.1f} GB of memory", False)
        if status == -signal.SIGXCPU:
            return StepError(ErrorCode.TIMEOUT, "the video took longer than the time there is")
        if status < 0:
            return StepError(ErrorCode.CRASHED, f"ffmpeg was ended by {signal.Signals(-status).name}")
        if status in (_INVALID_DATA, _END_OF_FILE, _MOSTLY_UNDECODABLE):
            return StepError(ErrorCode.CORRUPT, "ffmpeg finds no video in the file that it can read")
        return StepError(ErrorCode.STEP_ERROR, f"ffmpeg can't process the file (its exit status is {status})", False)


def _too_large(limit_bytes: int) -> StepError:
    return StepError(ErrorCode.STEP_ERROR, f"the segments have more than {limit_bytes:,} bytes", False)


def _seconds(lines: Sequence[bytes]) -> float | None:
    """The last `out_time_us` of a report."""
    found = [line.removeprefix(b"out_time_us=") for line in lines if line.startswith(b"out_time_us=")]
    return int(found[-1]) / 1e6 if found and found[-1].isdigit() else None


class _Confinement:
    """What the child does to itself before it becomes ffmpeg. Everything is looked up before the fork."""

    def __init__(self, output_bytes: int, seconds: float) -> None:
        processor_seconds = max(1, int(seconds * (os.cpu_count() or 1)))
        wanted = {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_CPU: processor_seconds,
            resource.RLIMIT_FSIZE: output_bytes,
            resource.RLIMIT_NOFILE: _OPEN_FILES,
            resource.RLIMIT_AS: MEMORY_BYTES,
        }
        self._limits = [(which, _within(resource.getrlimit(which)[1], value)) for which, value in wanted.items()]
        self._parent = os.getpid()

    def __call__(self) -> None:
        for which, value in self._limits:
            resource.setrlimit(which, (value, value))
        end_with(self._parent)


def _within(hard: int, value: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(hard, value)
