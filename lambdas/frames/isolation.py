"""Runs lambdas.frames.extraction on one video, in a process that can do nothing but decode it, and takes its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

from lambdas.frames.orders import Order, Picture
from lambdas.runtime.video.isolation import answers, crashed

_MOST_PICTURE_BYTES = 100_000_000


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
        received = 0
        for answer, rest in answers("lambdas.frames.extraction", self._order.to_json(), self._source, self._deadline):
            if "progress" in answer:
                self._progress(min(1.0, max(0.0, float(answer["progress"]))))
            elif "picture" in answer:
                received += 1
                if received > self._order.max_pictures:
                    raise crashed("it made more pictures than were wanted")
                yield Picture(**answer["picture"], jpeg=_read(rest, answer["bytes"]))
            else:
                self.shots, self.poster_ms = answer["shots"], answer["poster_ms"]


def _read(pipe: IO[bytes], length: int) -> bytes:
    body = pipe.read(length) if 0 < length <= _MOST_PICTURE_BYTES else b""
    if len(body) != length:
        raise crashed("it ended amid a picture")
    return body
