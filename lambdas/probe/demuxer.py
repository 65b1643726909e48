"""Runs lambdas.probe.demuxing on one video: hands it the bytes it asks for, and ends it when it takes too long."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import sysconfig
import time
from typing import Any

from lambdas.probe import demuxing_protocol as protocol
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.images.stream import SeekableFile
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat

_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL, signal.SIGXCPU}


def demux(file: SeekableFile, format: VideoFormat, size_bytes: int, *, scan: bool, seconds: float) -> dict[str, Any]:
    """What demuxing.describe says of a file, {"seconds", "tracks"}, after `seconds` at most.

    Raises StepError: CORRUPT or UNSAFE as FFmpeg finds it, or what reading the file raises; TIMEOUT; CRASHED when the
    process ends without a word, which is then this machine's fault, not the file's.
    """
    order = format.demuxer, str(size_bytes), str(int(scan)), str(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", "lambdas.probe.demuxing", *order],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),  # where Lambda's Python has its own library
        },
        cwd="/",
        bufsize=0,
    ) as process:
        try:
            facts = _serve(process, file, time.monotonic() + seconds)
        except _Silent:
            process.wait()
            if -process.returncode in _CRASHES:
                raise _damaged(format) from None
            raise StepError(ErrorCode.CRASHED, f"the process that reads the video ended with {process.returncode}") from None
        except TimeoutError:
            raise StepError(ErrorCode.TIMEOUT, f"the video couldn't be measured in {seconds:.0f} seconds") from None
        finally:
            process.kill()
    if error := facts.get("error"):
        if error == "reference":
            raise StepError(ErrorCode.UNSAFE, "the video's data is in another file, which is never opened")
        if error == "memory":
            megabytes = protocol.MEMORY_BYTES // 1024**2
            raise StepError(
                ErrorCode.CORRUPT, f"the {format.value.upper()} file's header takes more than {megabytes} MB to read"
            )
        raise _damaged(format)
    return facts


def _damaged(format: VideoFormat) -> StepError:
    return StepError(ErrorCode.CORRUPT, f"the file begins as {format.value.upper()} but FFmpeg can't read it")


class _Silent(Exception):
    """The process ended before it had said anything."""


def _serve(process: subprocess.Popen[bytes], file: SeekableFile, deadline: float) -> dict[str, Any]:
    assert process.stdin is not None
    while True:
        what, position, length = protocol.REQUEST.unpack(_receive(process, protocol.REQUEST.size, deadline))
        if what == protocol.FACTS:
            facts: dict[str, Any] = json.loads(_receive(process, length, deadline))
            return facts
        file.seek(position)
        data = file.read(length)
        try:
            process.stdin.write(protocol.ANSWER.pack(len(data)) + data)
        except BrokenPipeError:
            raise _Silent from None


def _receive(process: subprocess.Popen[bytes], length: int, deadline: float) -> bytes:
    assert process.stdout is not None
    received = b""
    while len(received) < length:
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        if not ready or time.monotonic() > deadline:
            raise TimeoutError
        part = process.stdout.read(length - len(received))
        if not part:
            raise _Silent
        received += part
    return received
