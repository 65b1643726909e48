"""Processes that decode what strangers made: started with nothing but the file, bounded, and ended in time.

Decoders are large programs in C. One that crashes, hangs or grows takes a process with it that has no environment, no
credentials, no other file and nobody else's work. It ends with the process that started it, however that
ends. It says what it finds in lines of JSON on its standard output; the last of them is `{"done": true}` or
`{"error": <ErrorCode>, "message": …}`. Starting it costs a quarter of a second.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.lifetime import end_with
from lambdas.runtime.step import StepError

_LONGEST_LINE = 100_000
_PROCESSORS = 4
_OUT_OF_TIME = {signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM}


def answers(module: str, order: str, source: int, deadline: float) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
    """What `python -m module` says of an order, and after each line what it says next, so that bytes that follow a line can be
    read. The process ends with the iteration, whoever ends it.

    `source` is the descriptor of its standard input; `deadline` is by time.monotonic(). Raises StepError: what the process
    found, TIMEOUT, or CRASHED.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise _timeout()
    with subprocess.Popen(
        [sys.executable, "-P", "-s", "-m", module, order, str(int(seconds) + 2), str(os.getpid())],
        stdin=source,
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
            yield from _read(process, deadline)
        finally:
            timer.cancel()
            process.kill()


def answer_isolated(work: Callable[[IO[bytes], str], None], memory_bytes: int) -> None:
    """The process's own part: bound it, then have `work` say what it finds of the file on standard input by the order.

    All that is needed has to be imported before: from here on nothing can be opened.
    """
    order, seconds = sys.argv[1], int(sys.argv[2])
    end_with(int(sys.argv[3]))
    signal.alarm(seconds)
    for kind, limit in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, seconds * _PROCESSORS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),  # standard input, output and error are
    ):
        resource.setrlimit(kind, (limit, limit))
    try:
        with io.FileIO(0, closefd=False) as file:
            file.seek(0)
            work(file, order)
        say({"done": True})
    except StepError as error:
        say({"error": error.code, "message": error.message})
    except MemoryError:  # PyAV's is one, too
        say({"error": ErrorCode.CRASHED, "message": f"decoding takes more than {memory_bytes // 10**6:,} MB of memory"})
    except Exception as error:  # noqa: BLE001 - its text may quote the file: its kind is told, its place logged
        places = [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(error.__traceback__)]
        print(json.dumps({"unexpected": type(error).__name__, "at": places}), file=sys.stderr)
        say({"error": ErrorCode.STEP_ERROR, "message": type(error).__name__})


def say(answer: Mapping[str, Any], body: bytes = b"") -> None:
    """A line, and bytes that follow it."""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + body)
    sys.stdout.buffer.flush()


def _read(process: subprocess.Popen[bytes], deadline: float) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
    assert process.stdout is not None
    while line := process.stdout.readline(_LONGEST_LINE):
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise crashed("it wrote what is no answer")
        if "error" in answer:
            raise StepError(ErrorCode(answer["error"]), answer["message"])
        if "done" in answer:
            return
        yield answer, process.stdout
    status = process.wait()
    if time.monotonic() >= deadline or -status in _OUT_OF_TIME:
        raise _timeout()
    raise crashed(signal.Signals(-status).name if status < 0 else f"exit status {status}")


def _timeout() -> StepError:
    return StepError(ErrorCode.TIMEOUT, "the time that is left isn't enough to decode the video")


def crashed(how: str) -> StepError:
    """Of a process that didn't do what it should."""
    return StepError(ErrorCode.CRASHED, f"the process that decodes the video failed: {how}")
