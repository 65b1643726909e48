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

    Blocks are fetched when first read, and kept, the last `max_kept` bytes of them; a fetch that continues the one before
    is twice as long, up to `max_fetch`, so that a long header takes few requests. Raises StepError CORRUPT when more than
    `max_fetched` bytes would be fetched.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        size_bytes: int,
        *,
        max_fetched: int = MAX_HEADER_BYTES,
        max_fetch: int = _MAX_FETCH_BLOCKS * BLOCK_BYTES,
        max_kept: int = MAX_HEADER_BYTES,
    ) -> None:
        self._fetch = fetch
        self._size = size_bytes
        self._max_fetched = max_fetched
        self._max_fetch_blocks = max_fetch // BLOCK_BYTES
        self._max_kept_blocks = max(max_kept // BLOCK_BYTES, self._max_fetch_blocks)
        self._position = 0
        self._blocks: dict[int, bytes] = {}
        self._fetched_blocks = 0
        self._next_block = 0
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
        if (last - first) * BLOCK_BYTES > self._max_fetched:
            raise self._header_too_long()
        data = b"".join(self._block(number) for number in range(first, last + 1))
        begin = self._position - first * BLOCK_BYTES
        data = data[begin : begin + end - self._position]
        self._position += len(data)
        return data

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if number != self._next_block:
                self._fetch_blocks = 1
            blocks = min(self._fetch_blocks, self._max_fetched // BLOCK_BYTES - self._fetched_blocks)
            if blocks < 1:
                raise self._header_too_long()
            start = number * BLOCK_BYTES
            data = self._fetch(start, min(blocks * BLOCK_BYTES, self._size - start))
            for at in range(0, len(data), BLOCK_BYTES):
                self._keep(number + at // BLOCK_BYTES, data[at : at + BLOCK_BYTES])
            self._fetched_blocks += blocks
            self._next_block = number + blocks
            self._fetch_blocks = min(2 * self._fetch_blocks, self._max_fetch_blocks)
        return self._blocks.get(number, b"")

    def _keep(self, number: int, block: bytes) -> None:
        self._blocks.pop(number, None)
        self._blocks[number] = block
        if len(self._blocks) > self._max_kept_blocks:
            del self._blocks[next(iter(self._blocks))]

    def _header_too_long(self) -> StepError:
        return StepError(ErrorCode.CORRUPT, f"the file's header is longer than {self._max_fetched:,} bytes")
