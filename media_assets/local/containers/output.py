"""What a container's processes write: kept as lines on disk, told to any number of readers, as Docker's json-file driver.

A reader gets whole lines, because who forwards them to CloudWatch makes an event of every piece it gets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from media_assets.local.containers.record import rfc3339

STDOUT, STDERR = 1, 2
"""Streams by their file descriptors, which are also their numbers in a frame's header."""
_LONGEST_LINE_BYTES = 256 * 1024
"""What CloudWatch takes as one event; a longer line is cut into several."""


class Line(NamedTuple):
    stream: int
    time: str
    """When it was written, RFC 3339 in UTC."""
    text: str
    """With its line break, if it had one."""

    def frame(self, *, timestamps: bool) -> bytes:
        """Docker's multiplexed stream: the stream's number in 4 bytes, the length in 4, big-endian, the text.

        https://docs.docker.com/reference/api/engine/version/v1.45/#tag/Container/operation/ContainerAttach
        """
        body = f"{self.time} {self.text}".encode() if timestamps else self.text.encode()
        return bytes((self.stream, 0, 0, 0)) + len(body).to_bytes(4, "big") + body


class Output:
    """The output of one container, in the file `path`. Not for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._unfinished = {STDOUT: b"", STDERR: b""}
        self._news = asyncio.Event()
        self._is_closed = False

    def write(self, stream: int, data: bytes) -> None:
        """Add what came from a pipe; the start of a line is kept back until its end comes."""
        *lines, rest = (self._unfinished[stream] + data).split(b"\n")
        lines = [line + b"\n" for line in lines]
        while len(rest) >= _LONGEST_LINE_BYTES:
            lines.append(rest[:_LONGEST_LINE_BYTES])
            rest = rest[_LONGEST_LINE_BYTES:]
        self._unfinished[stream] = rest
        self._add(stream, lines)

    def close(self) -> None:
        """Nothing more is written: readers get the rest and the end."""
        for stream, rest in self._unfinished.items():
            self._add(stream, [rest] if rest else [])
            self._unfinished[stream] = b""
        self._is_closed = True
        self._news.set()

    async def lines(self, *, follow: bool = False, tail: int | None = None) -> AsyncIterator[Line]:
        """The lines so far, or the last `tail` of them; with `follow` also those to come, until it is closed."""
        with self._path.open("rb") as file:
            so_far = [*_read(file)]
            for line in so_far if tail is None else so_far[len(so_far) - min(tail, len(so_far)) :]:
                yield line
            while follow:
                news, is_closed = self._news, self._is_closed  # looked at before the file: nothing falls in between
                for line in _read(file):
                    yield line
                if is_closed:
                    return
                await news.wait()

    def _add(self, stream: int, lines: list[bytes]) -> None:
        if not lines:
            return
        time = rfc3339(datetime.now(UTC))
        with self._path.open("ab") as file:
            for line in lines:
                file.write(json.dumps([stream, time, line.decode(errors="replace")]).encode() + b"\n")
        news, self._news = self._news, asyncio.Event()
        news.set()


def _read(file: Iterator[bytes]) -> Iterator[Line]:
    return (Line(*json.loads(line)) for line in file)
