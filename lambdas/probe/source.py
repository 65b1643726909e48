"""An object in S3 as a seekable file that fetches only what is read."""

from __future__ import annotations

import os
from collections.abc import Callable

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

BLOCK_BYTES = 64 * 1024
MAX_HEADER_BYTES = 8 * 1024 * 1024
"""A JPEG may carry megabytes of depth maps and previews ahead of its size; nothing is known to need more than this."""

_MAX_FETCH_BLOCKS = 16


class SourceFile:
    """A read-only file over `fetch(start, length)`.

    Blocks are fetched when first read, and kept; each fetch is twice the one before, up to 1 MB, so that a long header
    takes few requests. Raises StepError CORRUPT when more than MAX_HEADER_BYTES would be fetched.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._fetch = fetch
        self._size = size_bytes
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        self._fetch_blocks = 1

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, length: int) -> bytes:
        end = min(self._position + length, self._size)
        if end <= self._position:
            return b""
        first, last = self._position // BLOCK_BYTES, (end - 1) // BLOCK_BYTES
        if (last - first) * BLOCK_BYTES > MAX_HEADER_BYTES:
            raise _header_too_long()
        data = b"".join(self._block(number) for number in range(first, last + 1))
        begin = self._position - first * BLOCK_BYTES
        data = data[begin : begin + end - self._position]
        self._position += len(data)
        return data

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if (len(self._blocks) + self._fetch_blocks) * BLOCK_BYTES > MAX_HEADER_BYTES:
                raise _header_too_long()
            start = number * BLOCK_BYTES
            data = self._fetch(start, min(self._fetch_blocks * BLOCK_BYTES, self._size - start))
            for at in range(0, len(data), BLOCK_BYTES):
                self._blocks[number + at // BLOCK_BYTES] = data[at : at + BLOCK_BYTES]
            self._fetch_blocks = min(2 * self._fetch_blocks, _MAX_FETCH_BLOCKS)
        return self._blocks.get(number, b"")


def _header_too_long() -> StepError:
    return StepError(ErrorCode.CORRUPT, f"the file's header is longer than {MAX_HEADER_BYTES:,} bytes")
