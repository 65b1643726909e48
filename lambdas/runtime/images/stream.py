"""Reading a file that may end where it shouldn't."""

from __future__ import annotations

import os
from typing import Protocol


class SeekableFile(Protocol):
    """What a header is read from."""

    def read(self, length: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int: ...
    def tell(self) -> int: ...


class WatchedFile:
    """A file that remembers, in `ended`, whether somebody wanted to read beyond its end."""

    def __init__(self, file: SeekableFile) -> None:
        self._file = file
        self.ended = False
        self.seek = file.seek
        self.tell = file.tell

    def read(self, length: int) -> bytes:
        data = self._file.read(length)
        self.ended = self.ended or len(data) < length
        return data

    def exactly(self, length: int) -> bytes:
        """Raises EOFError if there are fewer bytes."""
        data = self.read(length)
        if len(data) < length:
            raise EOFError
        return data
