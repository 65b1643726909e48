"""Given a worker that is killed, then the processes that it started to read a video end, whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.unit.videos import Videos
from tests.waiting import eventually, is_running

DECODING = """
import sys, time
from lambdas.frames.isolation import Extraction
from lambdas.frames.orders import Order
order = Order("mov", (1, 1), 0, 2000, 10.0, 10, 1920, 95, 2_000_000, 10_000)
with open(sys.argv[1], "rb") as file:
    for _ in Extraction(file.fileno(), order, time.monotonic() + 60, lambda share: None).pictures():
        print("up", flush=True)
        time.sleep(60)
"""
MEASURING = """
import sys, time
from lambdas.probe.demuxer import demux
from lambdas.runtime.video.formats import VideoFormat
class File:
    def seek(self, position): pass
    def read(self, length):
        print("up", flush=True)
        time.sleep(60)
demux(File(), VideoFormat.MP4, 10_000, scan=False, seconds=60)
"""


@contextmanager
def worker(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """One whose child is at work."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("program", [DECODING, MEASURING], ids=["decoding", "measuring"])
def test_a_kill_takes_the_child_along(program: str, videos: Videos) -> None:
    with worker(program, str(videos("mp4"))) as process:
        (child,) = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        os.kill(child, signal.SIGSTOP)  # as busy as can be: it won't notice that its pipes are closed
        try:
            process.send_signal(signal.SIGKILL)
            process.wait()
            eventually(lambda: not is_running(child), seconds=5)
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_a_child_whose_parent_is_gone_already_does_nothing() -> None:
    program = f"""
from lambdas.runtime.lifetime import end_with
end_with({os.getpid()})
print("still here", flush=True)
end_with({os.getpid()} + 1)
print("and here", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"still here\n")
