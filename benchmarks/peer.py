"""A process of what is compared with, or of ours, that is asked in JSON: a line to its stdin, a line back.

It stays between questions, so that what it has loaded is loaded, as it is in a service.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from benchmarks.figure import PEERS

PROJECT = Path(__file__).resolve().parents[1]


class Peer:
    """A process that runs `answer`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: Any) -> Any:
        """Raises RuntimeError if the process ends instead of answering; its stderr says why."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"no answer: {self._process.args!r} ended with {self._process.wait()}")
        return json.loads(line)


@contextmanager
def peer(python: str | Path, module: str, environment: Mapping[str, str] | None = None) -> Iterator[Peer]:
    """`python -m module` in the project's folder; it ends when its stdin does. `environment` is added to ours."""
    process = subprocess.Popen(
        [str(python), "-m", module],
        cwd=PROJECT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Peer(process)


def expect_same_versions() -> None:
    """Raise AssertionError unless what computes in the step functions is the same in both environments."""
    places = [str(path) for path in PEERS.glob("lib/python*/site-packages")]
    theirs = {each.name.lower(): each.version for each in distributions(path=places)}
    for package in ("pillow", "numpy", "onnxruntime", "tokenizers"):
        if theirs.get(package) != version(package):
            raise AssertionError(f"{package} {version(package)} is compared with {theirs.get(package)}; make lock UPGRADE=1")


def answer(handle: Callable[..., Any]) -> None:
    """In the process: call `handle` with each question's fields. Whatever prints to stdout gets stderr instead."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin:
            print(json.dumps(handle(**json.loads(line))), file=answers, flush=True)
