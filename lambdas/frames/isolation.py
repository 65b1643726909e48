"""Runs lambdas.frames.extraction on one video, in a process that can do nothing but decode it, and takes its pictures.

Decoders are large programs in C that read what strangers made. One that crashes, hangs or grows takes a process with it that
has no environment, no credentials, no other file and nobody else's work. Starting it costs a quarter of a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from lambdas.frames.orders import Order, Picture
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

_LONGEST_LINE = 2_000
_MOST_PICTURE_BYTES = 100_000_000
_OUT_OF_TIME = {signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM}


class Extraction:
    """The pictures of one video. `shots` and `poster_ms` are known when `pictures` has come to its end."""

    def __init__(self, source: int, order: Order, deadline: float, progress: Callable[[float], None]) -> None:
        """`source` is the descriptor of the file, at whatever position; `deadline` is by time.monotonic()."""
        self._source, self._order, self._deadline, self._progress = source, order, deadline, progress
        self.shots = 0
        self.poster_ms = 0

    def pictures(self) -> Iterator[Picture]:
        """Each picture as soon as it is made. The process ends with the iteration, whoever ends it.

        Raises StepError: CORRUPT, UNSAFE, UNSUPPORTED_FORMAT, TOO_MANY_FRAMES as the process finds; TIMEOUT; CRASHED.
        """
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise _timeout()
        with subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "lambdas.frames.extraction", self._order.to_json(), str(int(seconds) + 2)],
            stdin=self._source,
            stdout=subprocess.PIPE,
            env={
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),  # where Lambda's Python has its own library
                "OPENBLAS_NUM_THREADS": "1",
            },
            cwd="/",
        ) as process:
            timer = threading.Timer(seconds, process.kill)
            timer.start()
            try:
                yield from self._answers(process)
            finally:
                timer.cancel()
                process.kill()

    def _answers(self, process: subprocess.Popen[bytes]) -> Iterator[Picture]:
        assert process.stdout is not None
        received = 0
        while line := process.stdout.readline(_LONGEST_LINE):
            answer = _parsed(line)
            if "progress" in answer:
                self._progress(min(1.0, max(0.0, float(answer["progress"]))))
            elif "picture" in answer:
                received += 1
                if received > self._order.max_pictures:
                    raise _crashed("it made more pictures than were wanted")
                jpeg = process.stdout.read(min(answer["bytes"], _MOST_PICTURE_BYTES))
                if len(jpeg) < answer["bytes"]:
                    break
                yield Picture(**answer["picture"], jpeg=jpeg)
            elif "error" in answer:
                raise StepError(ErrorCode(answer["error"]), answer["message"])
            else:
                self.shots, self.poster_ms = answer["shots"], answer["poster_ms"]
                return
        status = process.wait()
        if time.monotonic() >= self._deadline or -status in _OUT_OF_TIME:
            raise _timeout()
        raise _crashed(signal.Signals(-status).name if status < 0 else f"exit status {status}")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _crashed("it wrote what is no answer")
    return answer


def _timeout() -> StepError:
    return StepError(ErrorCode.TIMEOUT, "the time that is left isn't enough to decode the video")


def _crashed(how: str) -> StepError:
    return StepError(ErrorCode.CRASHED, f"the process that decodes the video failed: {how}")
